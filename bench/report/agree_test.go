package report

import (
	"strings"
	"testing"
)

// TestAgree: ratios and sums say, each for themselves, whether runs agree, figures of parts are told
// alone, and a ratio or a sum that only some have is as one that differs.
func TestAgree(t *testing.T) {
	run := func(sum, ratio, part float64) *Report {
		r := &Report{Part: "capacity", Parts: []*Report{{Part: "events"}}}
		r.Add("events", sum, "events/s", "")
		r.Add("events per MB", ratio, PerMB, "")
		r.Parts[0].Add("beside", ratio, Times, "")
		r.Parts[0].Add("cpu", part, "ms", "")
		return r
	}
	without := run(100, 2, 1) // one that came to no end
	without.Figures = without.Figures[:1]
	neither := run(100, 2, 1)
	neither.Figures = nil
	for name, c := range map[string]struct {
		runs         []*Report
		ratios, sums bool
	}{
		"alike":                     {[]*Report{run(100, 2, 1), run(105, 2.1, 1), run(96, 2, 1)}, true, true},
		"a sum apart":               {[]*Report{run(100, 2, 1), run(130, 2, 1), run(100, 2, 1)}, true, false},
		"a ratio apart":             {[]*Report{run(100, 2, 1), run(100, 3, 1), run(100, 2, 1)}, false, true},
		"a figure of a part, apart": {[]*Report{run(100, 2, 1), run(100, 2, 9), run(100, 2, 1)}, true, true},
		"a ratio missing":           {[]*Report{run(100, 2, 1), without, run(100, 2, 1)}, false, true},
		"both missing":              {[]*Report{run(100, 2, 1), run(100, 2, 1), neither}, false, false},
		"nothing in common":         {[]*Report{{Part: "capacity"}, run(1, 1, 1)}, false, false},
	} {
		a := Agree(c.runs)
		if a.Ratios != c.ratios || a.Sums != c.sums {
			t.Errorf("%s: %+v", name, a)
		}
	}
	apart := []*Report{run(100, 2, 1), run(130, 2, 1), run(100, 2, 1)}
	apart[1].Doubt("others were there")
	said := func(runs []*Report, wanted ...string) {
		t.Helper()
		var b strings.Builder
		if err := Agree(runs).WriteText(&b); err != nil {
			t.Fatal(err)
		}
		for _, want := range wanted {
			if !strings.Contains(b.String(), want) {
				t.Errorf("no %q in\n%s", want, b.String())
			}
		}
	}
	said(apart, "3 runs agree within 10 % of their mean: in ratios yes, in sums no", "The machine was not the same", "DIFFERS", "agrees", "run 2: not to be trusted, others were there")
	said(append(apart, without), "4 runs agree within 10 % of their mean: in ratios no, in sums no", "events per MB: 3 of 4 runs have it")
}
