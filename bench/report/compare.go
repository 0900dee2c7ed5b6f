package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"eyrie/bench/host"
	"eyrie/bench/stats"
)

// Comparison sets one side's figures beside another's.
type Comparison struct {
	A        string   `json:"a"`
	B        string   `json:"b"`
	Changes  []Change `json:"changes"`
	Warnings []string `json:"warnings,omitempty"` // why they may not be comparable
	OnlyA    []string `json:"only_a,omitempty"`
	OnlyB    []string `json:"only_b,omitempty"`
}

// Change is one figure on both sides.
type Change struct {
	Part     string      `json:"part"`
	Name     string      `json:"name"`
	Unit     string      `json:"unit"`
	A        float64     `json:"a"`
	B        float64     `json:"b"`
	Ratio    float64     `json:"ratio"`                 // B over A
	Interval *[2]float64 `json:"interval_95,omitempty"` // of the ratio
	Verdict  Verdict     `json:"verdict"`
}

// Verdict is what a change means.
type Verdict string

// The verdicts. Better and Worse are said only where the 95 % interval excludes
// 1; Open is where one side was measured once, so nothing can be said.
const (
	Better Verdict = "better"
	Worse  Verdict = "worse"
	Same   Verdict = "no difference shown"
	Moved  Verdict = "changed" // the interval excludes 1, and neither way is better
	Open   Verdict = "measured once: open"
)

// samples are the values of one figure on one side.
type samples struct {
	unit   string
	values []float64
}

// key is what a figure is found by on both sides.
type key struct{ part, name string }

// Compare compares two sides, each one report or several of the same
// measurement. With several reports on either side a figure has one value of each:
// runs differ by more than rounds within one do. With one on both sides its values
// are those of its rounds, and a warning says so.
func Compare(nameA string, a []*Report, nameB string, b []*Report) *Comparison {
	c := &Comparison{A: nameA, B: nameB}
	rounds := len(a) == 1 && len(b) == 1
	sa, order := collect(a, rounds)
	sb, orderB := collect(b, rounds)
	for _, k := range order {
		x, y := sa[k], sb[k]
		if y == nil {
			c.OnlyA = append(c.OnlyA, k.String())
			continue
		}
		if ch, ok := change(k, x, y); ok {
			c.Changes = append(c.Changes, ch)
		}
	}
	for _, k := range orderB {
		if sa[k] == nil {
			c.OnlyB = append(c.OnlyB, k.String())
		}
	}
	if rounds && slices.ContainsFunc(c.Changes, func(ch Change) bool { return ch.Interval != nil }) {
		c.Warnings = append(c.Warnings, "one run on each side: intervals are of the rounds within them, and another run may differ by more. Folders with several runs tell")
	}
	c.warn(a, b)
	return c
}

func (k key) String() string { return strings.TrimPrefix(k.part+": ", ": ") + k.name }

func collect(reports []*Report, rounds bool) (map[key]*samples, []key) {
	out := map[key]*samples{}
	var order []key
	for _, r := range reports {
		for _, p := range append([]*Report{r}, r.Parts...) {
			for _, f := range p.Figures {
				k := key{p.Part, f.Name}
				s := out[k]
				if s == nil {
					s = &samples{unit: f.Unit}
					out[k], order = s, append(order, k)
				}
				if rounds && len(f.Rounds) > 1 {
					s.values = append(s.values, f.Rounds...)
				} else {
					s.values = append(s.values, f.Value)
				}
			}
		}
	}
	return out, order
}

// change compares one figure; ratios need values above 0.
func change(k key, x, y *samples) (Change, bool) {
	for _, v := range append(append([]float64(nil), x.values...), y.values...) {
		if v <= 0 || math.IsInf(v, 0) || math.IsNaN(v) {
			return Change{}, false
		}
	}
	if x.unit != y.unit {
		return Change{}, false
	}
	q, low, high, ok := stats.Unpaired(x.values, y.values)
	c := Change{Part: k.part, Name: k.name, Unit: x.unit, A: stats.Geometric(x.values), B: stats.Geometric(y.values), Ratio: q, Verdict: Open}
	if !ok {
		return c, true
	}
	c.Interval = &[2]float64{low, high}
	switch d := direction(x.unit); {
	case low <= 1 && 1 <= high:
		c.Verdict = Same
	case d == 0:
		c.Verdict = Moved
	case (d > 0) == (q > 1):
		c.Verdict = Better
	default:
		c.Verdict = Worse
	}
	return c, true
}

// direction tells by its unit whether more of a figure is better (1), worse
// (-1) or neither (0): of rates it is, of costs and waits it is not. A number of
// times may be either: how much faster, or how often a byte is written.
func direction(unit string) int {
	switch {
	case strings.HasSuffix(unit, "/s") || strings.HasSuffix(unit, "/cpu-s"):
		return 1
	case unit == "ms" || unit == "s" || unit == "µs" || strings.HasPrefix(unit, "µs/") || strings.HasPrefix(unit, "ms/") || strings.HasPrefix(unit, "B/") || unit == "MiB" || unit == "GiB":
		return -1
	}
	return 0
}

func (c *Comparison) warn(a, b []*Report) {
	add := func(format string, args ...any) { c.Warnings = append(c.Warnings, fmt.Sprintf(format, args...)) }
	machine := func(m host.Machine) string { return fmt.Sprintf("%s, %d cores, %d MiB", m.CPU, m.Cores, m.Memory) }
	if x, y := machine(a[0].Machine), machine(b[0].Machine); x != y {
		add("the machines differ: %s; %s", x, y)
	}
	for _, side := range []struct {
		name    string
		reports []*Report
	}{{c.A, a}, {c.B, b}} {
		for _, r := range side.reports {
			for _, p := range append([]*Report{r}, r.Parts...) {
				if p.Noise != nil && !p.Noise.Trusted {
					add("%s, %s: not to be trusted, %s", side.name, p.Part, p.Noise.Why)
				}
				for _, f := range p.Faults {
					add("%s, %s: fault: %s", side.name, p.Part, f)
				}
			}
		}
	}
}

// WriteText writes the comparison for people.
func (c *Comparison) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "A  %s\nB  %s\n\n", c.A, c.B)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "figure\tA\tB\t\tB/A\t95 %% interval\t\n")
	for _, ch := range c.Changes {
		interval := ""
		if ch.Interval != nil {
			interval = fmt.Sprintf("%.3f to %.3f", ch.Interval[0], ch.Interval[1])
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.3f\t%s\t%s\n", key{ch.Part, ch.Name}, Number(ch.A), Number(ch.B), ch.Unit, ch.Ratio, interval, ch.Verdict)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, s := range []struct {
		side string
		of   []string
	}{{"only in A", c.OnlyA}, {"only in B", c.OnlyB}} {
		if len(s.of) > 0 {
			fmt.Fprintf(w, "\n%s: %s\n", s.side, strings.Join(s.of, ", "))
		}
	}
	if len(c.Warnings) > 0 {
		fmt.Fprintln(w)
	}
	for _, s := range c.Warnings {
		fmt.Fprintf(w, "WARNING   %s\n", s)
	}
	return nil
}
