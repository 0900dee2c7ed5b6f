package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"

	"eyrie/bench/stats"
)

// Agreement says how far several runs of the same measurement agree.
type Agreement struct {
	Runs    int      `json:"runs"`
	Within  float64  `json:"within"` // the share that is asked for
	Ratios  bool     `json:"ratios"` // whether they agree: a faster or slower machine is in both sides of them
	Sums    bool     `json:"sums"`   // the same of the sums of the whole run, which move with the machine
	Figures []Agreed `json:"figures"`
	Doubts  []string `json:"doubts,omitempty"` // runs that are not to be trusted, and why
}

// Agreed is one figure of all runs.
type Agreed struct {
	Part     string     `json:"part"`
	Name     string     `json:"name"`
	Unit     string     `json:"unit"`
	Values   []float64  `json:"values"`
	Mean     float64    `json:"mean"` // geometric
	Interval [2]float64 `json:"interval_95"`
	Apart    float64    `json:"apart"`           // how far the farthest is from the mean, as a share
	Ratio    bool       `json:"ratio,omitempty"` // a figure of a part is neither
	Sum      bool       `json:"sum,omitempty"`
}

// AgreeWithin is how far from their mean runs may be.
const AgreeWithin = 0.10

// Agree sets two or more runs of one measurement beside each other, by the figures that
// all have, above 0. A ratio or a sum that one of them lacks, for it came to no end, is as one that differs.
func Agree(runs []*Report) *Agreement {
	a := &Agreement{Runs: len(runs), Within: AgreeWithin}
	all, order := collect(runs, false)
	ratios, sums := 0, 0 // that differ
	counted := 0
	for _, k := range order {
		v := all[k].values
		ratio := all[k].unit == Times || all[k].unit == PerMB
		f := Agreed{Part: k.part, Name: k.name, Unit: all[k].unit, Values: v, Ratio: ratio, Sum: !ratio && k.part == runs[0].Part}
		if len(v) != len(runs) && (f.Ratio || f.Sum) {
			a.Doubts = append(a.Doubts, fmt.Sprintf("%s: %d of %d runs have it", k, len(v), len(runs)))
			if f.Ratio {
				ratios++
			} else {
				sums++
			}
		}
		if len(v) != len(runs) || slices.Min(v) <= 0 || math.IsInf(slices.Max(v), 0) {
			continue
		}
		f.Mean, f.Interval[0], f.Interval[1] = stats.Mean(v)
		for _, x := range v {
			f.Apart = max(f.Apart, math.Abs(x/f.Mean-1))
		}
		if f.Ratio || f.Sum {
			counted++
		}
		if f.Apart > AgreeWithin && f.Ratio {
			ratios++
		}
		if f.Apart > AgreeWithin && f.Sum {
			sums++
		}
		a.Figures = append(a.Figures, f)
	}
	a.Ratios, a.Sums = counted > 0 && ratios == 0, counted > 0 && sums == 0
	for i, r := range runs {
		if r.Noise != nil && !r.Noise.Trusted {
			a.Doubts = append(a.Doubts, fmt.Sprintf("run %d: not to be trusted, %s", i+1, r.Noise.Why))
		}
		for _, f := range r.Faults {
			a.Doubts = append(a.Doubts, fmt.Sprintf("run %d: fault: %s", i+1, f))
		}
	}
	return a
}

// WriteText writes the agreement for people.
func (a *Agreement) WriteText(w io.Writer) error {
	said := map[bool]string{true: "yes", false: "no"}
	fmt.Fprintf(w, "%d runs agree within %.0f %% of their mean: in ratios %s, in sums %s\n", a.Runs, 100*a.Within, said[a.Ratios], said[a.Sums])
	if a.Ratios && !a.Sums {
		fmt.Fprintf(w, "The machine was not the same all the time; by what its cores did meanwhile, it bears the same.\n")
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "figure\tmean\t\t95 %% interval\tfarthest\t\n")
	for _, f := range a.Figures {
		verdict := ""
		if f.Ratio || f.Sum {
			verdict = map[bool]string{true: "agrees", false: "DIFFERS"}[f.Apart <= a.Within]
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s to %s\t%.1f %%\t%s\n", key{f.Part, f.Name}, Number(f.Mean), f.Unit, Number(f.Interval[0]), Number(f.Interval[1]), 100*f.Apart, verdict)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, s := range a.Doubts {
		fmt.Fprintf(w, "WARNING   %s\n", s)
	}
	return nil
}
