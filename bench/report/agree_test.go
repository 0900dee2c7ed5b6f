package report

import (
	"strings"
	"testing"
)

// TestAgree: ratios and sums say, each for themselves, whether runs agree, figures of parts are told
// alone, and what only some have is left out.
func TestAgree(t *testing.T) {
	run := func(sum, ratio, part float64) *Report {
		r := &Report{Part: "capacity", Parts: []*Report{{Part: "events"}}}
		r.Add("events", sum, "events/s", "")
		r.Add("events per MB", ratio, PerMB, "")
		r.Parts[0].Add("beside", ratio, Times, "")
		r.Parts[0].Add("cpu", part, "ms", "")
		return r
	}
	for name, c := range map[string]struct {
		runs         []*Report
		ratios, sums bool
	}{
		"alike":                     {[]*Report{run(100, 2, 1), run(105, 2.1, 1), run(96, 2, 1)}, true, true},
		"a sum apart":               {[]*Report{run(100, 2, 1), run(130, 2, 1), run(100, 2, 1)}, true, false},
		"a ratio apart":             {[]*Report{run(100, 2, 1), run(100, 3, 1), run(100, 2, 1)}, false, true},
		"a figure of a part, apart": {[]*Report{run(100, 2, 1), run(100, 2, 9), run(100, 2, 1)}, true, true},
		"nothing in common":         {[]*Report{{Part: "capacity"}, run(1, 1, 1)}, false, false},
	} {
		a := Agree(c.runs)
		if a.Ratios != c.ratios || a.Sums != c.sums {
			t.Errorf("%s: %+v", name, a)
		}
	}
	apart := []*Report{run(100, 2, 1), run(130, 2, 1), run(100, 2, 1)}
	apart[1].Doubt("others were there")
	var b strings.Builder
	if err := Agree(apart).WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"3 runs agree within 10 % of their mean: in ratios yes, in sums no", "The machine was not the same", "DIFFERS", "agrees", "run 2: not to be trusted, others were there"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
