package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"eyrie/bench/host"
)

func sample() *Report {
	r := &Report{Part: "ingest", Command: "eyrie bench", At: time.Unix(1_700_000_000, 0).UTC(), Version: "v1", Commit: "0123456789abcdef", Machine: host.Machine{CPU: "a CPU", Cores: 2, Memory: 1000}}
	r.Add("rate", 123_456, "events/s", "plan for <less>")
	r.AddRounds("wait", []float64{1, 2, 4}, "ms", "")
	r.AddRatio("a/b", []float64{2, 4.2}, []float64{1, 2}, "of rates")
	r.Noise = &host.Noise{OtherShare: 0.5, Why: "other processes used 50 % of the cores"}
	r.Curves = []Curve{{
		Title: "wait against load", X: Axis{Name: "load", Unit: "events/s"}, Y: Axis{Name: "wait", Unit: "ms", Log: true},
		Lines: []Line{{Name: "p50", Points: [][2]float64{{0, 1}, {100, 2}, {200, 30}}}, {Name: "p99 <i>", Points: [][2]float64{{0, 3}, {200, 90}}}},
	}}
	return r
}

// TestJSON: what is written reads back, and a folder's reports together.
func TestJSON(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"1.json", "2.json"} {
		var b bytes.Buffer
		if err := sample().WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Read(dir)
	if err != nil || len(got) != 2 {
		t.Fatalf("%d reports, %v", len(got), err)
	}
	f := got[1].Figures[1]
	if f.Value != 2 || f.Interval == nil || !slices.Equal(f.Rounds, []float64{1, 2, 4}) {
		t.Errorf("read back as %+v", f)
	}
	if err := os.WriteFile(filepath.Join(dir, "3.json"), []byte(`{"some":"thing"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), "3.json") {
		t.Errorf("a file that is no report: %v", err)
	}
}

// TestWhatIsNoNumber: a figure that could not be worked out is a fault, and costs
// nothing else of the report.
func TestWhatIsNoNumber(t *testing.T) {
	r := sample()
	r.Add("a quotient", math.NaN(), "ms", "")
	r.Add("another", math.Inf(1), "ms", "")
	r.AddRounds("rounds", []float64{3, 0}, "ms", "")
	r.Curves[0].Lines[0].Points = append(r.Curves[0].Lines[0].Points, [2]float64{250, math.NaN()}, [2]float64{300, math.Inf(1)})
	var b, page bytes.Buffer
	if err := errors.Join(r.WriteJSON(&b), r.WriteHTML(&page)); err != nil {
		t.Fatal(err)
	}
	back := &Report{}
	if err := json.Unmarshal(b.Bytes(), back); err != nil {
		t.Fatal(err)
	}
	if len(back.Figures) != 3 || len(back.Faults) != 3 || !strings.Contains(back.Faults[2], "rounds of [3 0] ms") || len(back.Curves[0].Lines[0].Points) != 3 {
		t.Errorf("%d figures, %d points, %q", len(back.Figures), len(back.Curves[0].Lines[0].Points), back.Faults)
	}
	if s := string(r.Curves[0].SVG()); s == "" || strings.Contains(s, "NaN") || strings.Contains(s, "Inf") {
		t.Errorf("the plot is lost, or has what is no number: %s", s)
	}
}

// TestHTML: the page is whole, asks for nothing elsewhere, and shows what others
// wrote as text.
func TestHTML(t *testing.T) {
	whole := &Report{Part: "capacity", Says: []string{"It bears <much>."}, Parts: []*Report{sample()}}
	var b bytes.Buffer
	if err := whole.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, want := range []string{"123,456", "plan for &lt;less&gt;", "It bears &lt;much&gt;.", "not to be trusted", "95 % interval", "<svg", "p99 &lt;i&gt;", `id="ingest"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, no := range []string{"<script", "http://", "https://", "@import", "url(", "<link", "ZgotmplZ"} {
		if strings.Contains(page, no) {
			t.Errorf("the page has %q", no)
		}
	}
}

// TestPlot: drawings are well-formed and stay inside the frame, whatever the
// numbers; what cannot be drawn gives none.
func TestPlot(t *testing.T) {
	for name, c := range map[string]struct {
		points [][2]float64
		log    bool
		drawn  bool
	}{
		"one point":       {[][2]float64{{5, 5}}, false, true},
		"flat at zero":    {[][2]float64{{0, 0}, {1, 0}}, false, true},
		"tiny":            {[][2]float64{{0, 1e-9}, {1, 3e-9}}, false, true},
		"huge":            {[][2]float64{{0, 1e12}, {1e9, 3e12}}, false, true},
		"negative":        {[][2]float64{{-3, -5}, {3, 2}}, false, true},
		"log":             {[][2]float64{{1, 0.03}, {2, 40_000}}, true, true},
		"log of a decade": {[][2]float64{{1, 10}, {2, 10}}, true, true},
		"log of zero":     {[][2]float64{{1, 0}, {2, 10}}, true, false},
		"nothing":         {nil, false, false},
		"not a number":    {[][2]float64{{1, math.NaN()}}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			curve := Curve{Title: `"<x>"`, Y: Axis{Name: "y", Log: c.log}, Lines: []Line{{Name: "l", Points: c.points}}}
			svg := string(curve.SVG())
			if (svg != "") != c.drawn {
				t.Fatalf("drawn: %v, want %v: %s", svg != "", c.drawn, svg)
			}
			if svg == "" {
				return
			}
			d := xml.NewDecoder(strings.NewReader(svg))
			for {
				if _, err := d.Token(); err == io.EOF {
					break
				} else if err != nil {
					t.Fatalf("%v in %s", err, svg)
				}
			}
			x, y := curve.scale(curve.X, 0, plotLeft, plotWidth-plotRight), curve.scale(curve.Y, 1, plotHeight-plotBottom, plotTop)
			for _, p := range c.points {
				if px, py := x.at(p[0]), y.at(p[1]); px < plotLeft-0.1 || px > plotWidth-plotRight+0.1 || py < plotTop-0.1 || py > plotHeight-plotBottom+0.1 {
					t.Errorf("%v is drawn at %.1f, %.1f", p, px, py)
				}
			}
			if n := len(y.ticks); n < 2 || n > 20 {
				t.Errorf("%d ticks", n)
			}
		})
	}
}

// TestCompare: a verdict is said only where the interval allows, by the unit's
// direction, and what makes two sides incomparable is told.
func TestCompare(t *testing.T) {
	side := func(rate, wait []float64, plain float64) *Report {
		r := &Report{Part: "ingest", Machine: host.Machine{CPU: "a", Cores: 2}}
		r.AddRounds("rate", rate, "events/s", "")
		r.AddRounds("wait", wait, "ms", "")
		r.AddRounds("agents", rate, "agents", "")
		r.AddRounds("amplification", rate, Times, "")
		r.AddRounds("per cpu", rate, "events/cpu-s", "")
		r.Add("once", plain, "events/s", "")
		return r
	}
	a := side([]float64{100, 101, 99}, []float64{10, 11, 10}, 5)
	b := side([]float64{150, 151, 149}, []float64{20, 21, 20}, 6)
	b.Add("new", 1, "ms", "")
	b.Machine.Cores = 4
	b.Noise = &host.Noise{Why: "steal"}
	c := Compare("A", []*Report{a}, "B", []*Report{b})
	want := map[string]Verdict{"rate": Better, "wait": Worse, "agents": Moved, "amplification": Moved, "per cpu": Better, "once": Open}
	for _, ch := range c.Changes {
		if ch.Verdict != want[ch.Name] {
			t.Errorf("%s: %s, want %s", ch.Name, ch.Verdict, want[ch.Name])
		}
		if ch.Name == "rate" && math.Abs(ch.Ratio-1.5) > 0.01 {
			t.Errorf("ratio %v", ch.Ratio)
		}
	}
	if len(c.Changes) != len(want) || !slices.Equal(c.OnlyB, []string{"ingest: new"}) || len(c.OnlyA) != 0 {
		t.Errorf("%d changes, only in A %v, only in B %v", len(c.Changes), c.OnlyA, c.OnlyB)
	}
	if len(c.Warnings) != 3 || !strings.HasPrefix(c.Warnings[0], "one run on each side") {
		t.Errorf("warnings: %q", c.Warnings)
	}
	same := Compare("A", []*Report{a}, "A", []*Report{a})
	for _, ch := range same.Changes {
		if ch.Verdict != Same && ch.Verdict != Open {
			t.Errorf("%s beside itself: %s", ch.Name, ch.Verdict)
		}
	}
	// Several reports on a side: one value of each, not their rounds.
	several := Compare("A", []*Report{a, side([]float64{140, 141}, []float64{10, 10}, 5)}, "B", []*Report{b, b})
	for _, ch := range several.Changes {
		if ch.Name == "rate" && ch.Verdict != Same {
			t.Errorf("runs that differ by 40 %% among themselves: %s", ch.Verdict)
		}
	}
	// One against several: that one is a single value, too.
	for _, ch := range Compare("A", []*Report{a}, "B", []*Report{b, b}).Changes {
		if ch.Verdict != Open {
			t.Errorf("%s of one run against two: %s", ch.Name, ch.Verdict)
		}
	}
	var text bytes.Buffer
	if err := c.WriteText(&text); err != nil || !strings.Contains(text.String(), "WARNING   the machines differ") {
		t.Errorf("%v: %s", err, text.String())
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.0123: "0.012", 0.5: "0.50", 1: "1", 2.345: "2.35", 45.67: "45.7", 150.4: "150", 1234: "1,234", -1234567: "-1,234,567"} {
		if got := Number(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}

// TestMatrices: three rows and more of the same columns make a table, and every
// figure is either in one or plain.
func TestMatrices(t *testing.T) {
	r := &Report{}
	for _, row := range []string{"a", "b", "c"} {
		for i, column := range []string{"p50", "p99", "max"} {
			r.Add(row+": "+column, float64(i), "ms", row+column)
		}
	}
	r.Add("d: p50", 7, "ms", "")
	r.Add("plain", 8, "ms", "")
	m := r.Matrices()
	if len(m) != 1 || len(m[0].Rows) != 3 || len(m[0].Columns) != 3 || m[0].Rows[2].Says != "cp50" || m[0].Rows[1].Values[2] != 2 {
		t.Errorf("%+v", m)
	}
	if p := r.Plain(); len(p) != 2 || p[0].Name != "d: p50" || p[1].Name != "plain" {
		t.Errorf("plain: %+v", p)
	}
}
