package report

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strings"
)

// Size of a plot and of its frame, in SVG units.
const (
	plotWidth, plotHeight = 640.0, 280.0
	plotLeft, plotRight   = 64.0, 16.0
	plotTop, plotBottom   = 12.0, 44.0
)

// SVG draws the curve: frame, ticks, one path a line, a dot with its numbers in a
// tooltip where points are few. Colours are the page's classes line0 to line6.
// It returns "" where there is nothing to draw.
func (c *Curve) SVG() template.HTML {
	c = &Curve{Title: c.Title, X: c.X, Y: c.Y, Lines: c.finite()}
	x, y := c.scale(c.X, 0, plotLeft, plotWidth-plotRight), c.scale(c.Y, 1, plotHeight-plotBottom, plotTop)
	if x == nil || y == nil {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %.0f %.0f" role="img" aria-label="%s">`, plotWidth, plotHeight, html.EscapeString(c.Title))
	for _, t := range y.ticks {
		at := y.at(t)
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/><text class="tick" x="%.1f" y="%.1f" text-anchor="end">%s</text>`,
			plotLeft, plotWidth-plotRight, at, at, plotLeft-6, at+4, tick(t))
	}
	for _, t := range x.ticks {
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/><text class="tick" x="%.1f" y="%.1f" text-anchor="middle">%s</text>`,
			x.at(t), x.at(t), plotTop, plotHeight-plotBottom, x.at(t), plotHeight-plotBottom+16, tick(t))
	}
	fmt.Fprintf(&b, `<text class="axis" x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, (plotLeft+plotWidth-plotRight)/2, plotHeight-8, html.EscapeString(c.X.label()))
	fmt.Fprintf(&b, `<text class="axis" transform="translate(13 %.1f) rotate(-90)" text-anchor="middle">%s</text>`, (plotTop+plotHeight-plotBottom)/2, html.EscapeString(c.Y.label()))
	for i, l := range c.Lines {
		c.draw(&b, i, l, x, y)
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) // every text in it is escaped above
}

// dotsMax is up to how many points each gets a dot.
const dotsMax = 40

func (c *Curve) draw(b *strings.Builder, i int, l Line, x, y *scale) {
	cls := fmt.Sprintf("line%d", i%lineColours)
	var path strings.Builder
	for k, p := range l.Points {
		cmd := byte('L')
		if k == 0 {
			cmd = 'M'
		}
		fmt.Fprintf(&path, "%c%.1f %.1f", cmd, x.at(p[0]), y.at(p[1]))
	}
	fmt.Fprintf(b, `<path class="line %s" d="%s"/>`, cls, path.String())
	if len(l.Points) > dotsMax {
		return
	}
	for _, p := range l.Points {
		fmt.Fprintf(b, `<circle class="dot %s" cx="%.1f" cy="%.1f" r="3"><title>%s: %s at %s</title></circle>`,
			cls, x.at(p[0]), y.at(p[1]), html.EscapeString(l.Name), html.EscapeString(Number(p[1])+" "+c.Y.Unit), html.EscapeString(Number(p[0])+" "+c.X.Unit))
	}
}

// lineColours is how many colours lines have in turn.
const lineColours = 7

func (a Axis) label() string {
	if a.Unit == "" {
		return a.Name
	}
	return a.Name + ", " + a.Unit
}

// scale maps values of an axis to the plot.
type scale struct {
	from, to float64 // of the plot
	lo, hi   float64 // of the values, as logarithms on a log axis
	log      bool
	ticks    []float64
}

func (s *scale) at(v float64) float64 {
	if s.log {
		v = math.Log10(v)
	}
	return s.from + (v-s.lo)/(s.hi-s.lo)*(s.to-s.from)
}

// scale fits an axis to member k of all points. A linear axis of values begins
// at 0, so that heights compare; that of x begins at its first point.
func (c *Curve) scale(a Axis, k int, from, to float64) *scale {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, l := range c.Lines {
		for _, p := range l.Points {
			if a.Log && p[k] <= 0 {
				return nil
			}
			lo, hi = min(lo, p[k]), max(hi, p[k])
		}
	}
	if math.IsInf(lo, 1) { // no point
		return nil
	}
	s := &scale{from: from, to: to, log: a.Log}
	if a.Log {
		s.lo, s.hi = math.Floor(math.Log10(lo)), math.Ceil(math.Log10(hi))
		if s.lo == s.hi {
			s.hi++
		}
		for e := s.lo; e <= s.hi; e++ {
			s.ticks = append(s.ticks, math.Pow(10, e))
		}
		return s
	}
	if k == 1 {
		lo, hi = min(lo, 0), max(hi, 0)
	}
	if lo == hi {
		hi = lo + 1
	}
	step := niceStep((hi - lo) / 5)
	s.lo, s.hi = math.Floor(lo/step)*step, math.Ceil(hi/step)*step
	for i := range int(math.Round((s.hi-s.lo)/step)) + 1 {
		s.ticks = append(s.ticks, s.lo+float64(i)*step)
	}
	return s
}

// niceStep is the smallest of 1, 2, 5 times a power of ten that is at least v.
func niceStep(v float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*p >= v*(1-1e-9) {
			return m * p
		}
	}
	return 10 * p
}

// tick prints an axis' number shortly: 250k, 1.5M.
func tick(v float64) string {
	for _, u := range []struct {
		of   float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if math.Abs(v) >= u.of {
			return trim(v/u.of) + u.name
		}
	}
	return trim(v)
}

func trim(v float64) string {
	if v == 0 {
		return "0"
	}
	return fmt.Sprintf("%.4g", v)
}
