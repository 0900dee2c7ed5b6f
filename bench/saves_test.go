//go:build linux

package bench

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// lifeOf is a life of a server whose views are folded for a while, looked at in
// steps: what each view had saved at each look, and has applied all of the log.
func lifeOf(loaded uint64, step time.Duration, saved ...uint64) (looks []savesLook) {
	for i, s := range saved {
		next := 1000*uint64(i) + 100_000
		looks = append(looks, savesLook{since: time.Duration(i) * step, next: next, views: map[string]viewLook{"fleet": {loaded: loaded, applied: next, saved: s}}})
	}
	return looks
}

// rebuiltIn is a life in which the view was folded anew by the second look.
func rebuiltIn(looks []savesLook) []savesLook {
	for i := range looks[1:] {
		v := looks[1+i].views["fleet"]
		v.rebuilds = 1
		looks[1+i].views["fleet"] = v
	}
	return looks
}

// A view that is saved as it should is let alone through all lives; one that is
// rebuilt, that goes back or that stands still is named, once.
func TestSavesJudge(t *testing.T) {
	const step = 200 * time.Millisecond
	rule := savesRule{every: 300 * time.Millisecond, slack: time.Second} // 1.6 s
	for _, c := range []struct {
		name  string
		lives [][]savesLook
		want  string // part of the only fault
	}{
		{"saves", [][]savesLook{lifeOf(1, step, 1, 500, 900), lifeOf(900, step, 900, 1500)}, ""},
		{"more was saved than was seen", [][]savesLook{lifeOf(1, step, 1, 500), lifeOf(900, step, 900, 1500)}, ""},
		{"saved between load and the first look", [][]savesLook{lifeOf(1, step, 1, 500), lifeOf(500, step, 700)}, ""},
		{"lives too short to save, then one that is not", [][]savesLook{lifeOf(1, step, 1, 1, 1), lifeOf(1, step, 1, 1), lifeOf(1, step, 1, 1, 1), lifeOf(1, step, 1, 7)}, ""},
		{"nothing to save", [][]savesLook{lifeOf(1, step, 1, 200_000, 200_000, 200_000, 200_000, 200_000, 200_000, 200_000, 200_000, 200_000, 200_000, 200_000, 200_000)}, ""},
		{"rebuilt", [][]savesLook{lifeOf(1, step, 1, 500), rebuiltIn(lifeOf(500, step, 500, 600, 900)), lifeOf(900, step, 900, 950)}, "life 2: view fleet was rebuilt"},
		{"no snapshot any more", [][]savesLook{lifeOf(1, step, 1, 500), lifeOf(1, step, 1, 600, 900)}, "life 2: the snapshot of view fleet reaches to offset 1, and reached to 500 before"},
		{"an older snapshot, and saved again before the first look", [][]savesLook{lifeOf(1, step, 1, 500, 900), lifeOf(500, step, 1000, 1500)}, "life 2: the snapshot of view fleet reaches to offset 500, and reached to 900 before"},
		{"back within a life", [][]savesLook{lifeOf(1, step, 1, 500, 400)}, "life 1: the snapshot of view fleet reaches to offset 400, and reached to 500 before"},
		{"never saved in a long life", [][]savesLook{lifeOf(1, step, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)}, "life 1: the snapshot of view fleet stands at offset 1 since it was folded for 1.8s, where 1.6s is the most"},
		{"never saved in many short lives", [][]savesLook{lifeOf(7, step, 7, 7, 7, 7), lifeOf(7, step, 7, 7, 7, 7), lifeOf(7, step, 7, 7, 7, 7), lifeOf(7, step, 7, 7)}, "life 3: the snapshot of view fleet stands at offset 7 since it was folded for 1.8s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := savesJudge{rule: rule}
			var faults []string
			for i, looks := range c.lives {
				for _, l := range looks {
					l.life = i + 1
					faults = append(faults, j.see(l)...)
				}
			}
			switch {
			case c.want == "" && len(faults) > 0:
				t.Errorf("got %q", faults)
			case c.want != "" && (len(faults) != 1 || !strings.HasPrefix(faults[0], c.want)):
				t.Errorf("got %q, want %q alone", faults, c.want)
			}
		})
	}
}

// Each view is judged by itself.
func TestSavesJudgeNamesTheView(t *testing.T) {
	j := savesJudge{rule: savesRule{every: time.Second}}
	var faults []string
	for i := range uint64(4) {
		faults = append(faults, j.see(savesLook{life: 1, since: time.Duration(i) * time.Second, next: 100 + i, views: map[string]viewLook{
			"fleet": {loaded: 1, applied: 100 + i, saved: 10 + i}, "spans": {loaded: 1, applied: 100 + i, saved: 2}, "series": {loaded: 1, applied: 100 + i, saved: 10 + i},
		}})...)
	}
	if len(faults) != 1 || !strings.Contains(faults[0], "view spans stands at offset 2") {
		t.Errorf("got %q", faults)
	}
	if j.longest != 3*time.Second {
		t.Errorf("the longest without a save is %v, want 3 s", j.longest)
	}
}

// A look is read off the metrics, and has no views before they are loaded.
func TestLookAtSaves(t *testing.T) {
	m := map[string]float64{"eyrie_wal_next_offset": 77}
	for _, view := range []string{"fleet", "spans"} {
		for name, v := range map[string]float64{"loaded_offset": 0, "next_offset": 0, "saved_offset": 0, "rebuilds_total": 0} {
			m["eyrie_view_"+name+`{view="`+view+`"}`] = v
		}
	}
	if l := lookAt(m); l.next != 77 || len(l.views) != 0 {
		t.Errorf("before the views are loaded: %+v", l)
	}
	m[`eyrie_view_loaded_offset{view="spans"}`], m[`eyrie_view_next_offset{view="spans"}`] = 5, 70
	m[`eyrie_view_saved_offset{view="spans"}`], m[`eyrie_view_rebuilds_total{view="spans"}`] = 60, 2
	l := lookAt(m)
	if names := slices.Collect(maps.Keys(l.views)); len(names) != 1 || l.views["spans"] != (viewLook{loaded: 5, applied: 70, saved: 60, rebuilds: 2}) {
		t.Errorf("%+v", l)
	}
}
