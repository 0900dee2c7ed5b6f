package bench

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"eyrie/bench/report"
)

// TestInTurn: each phase has the time that those after it do not need, and what one
// does not take goes to those after it. Time is virtual.
func TestInTurn(t *testing.T) {
	type want struct {
		had  time.Duration // by its deadline, at its begin
		took time.Duration
	}
	for name, c := range map[string]struct {
		total        time.Duration
		needs, takes []time.Duration // a phase takes so long where it is let
		want         []want
		cut          string
		must         bool // the first
	}{
		"all fit": {
			total: 100, needs: []time.Duration{10, 20, 30}, takes: []time.Duration{10, 20, 30},
			want: []want{{50, 10}, {60, 20}, {70, 30}},
		},
		"what one takes beyond its need comes from what nobody needs": {
			total: 100, needs: []time.Duration{10, 20, 30}, takes: []time.Duration{500, 19, 30},
			want: []want{{50, 50}, {20, 19}, {31, 30}}, cut: "0",
		},
		"each is cut where its share ends": {
			total: 60, needs: []time.Duration{10, 20, 30}, takes: []time.Duration{500, 500, 500},
			want: []want{{10, 10}, {20, 20}, {30, 30}}, cut: "0 1 2",
		},
		"what one leaves is the next one's": {
			total: 60, needs: []time.Duration{10, 20, 30}, takes: []time.Duration{1, 500, 29},
			want: []want{{10, 1}, {29, 29}, {30, 29}}, cut: "1",
		},
		"what all follows from may have half": {
			total: 60, needs: []time.Duration{10, 20, 30}, takes: []time.Duration{25, 20, 14},
			want: []want{{30, 25}, {14, 14}, {21, 14}}, cut: "1", must: true,
		},
		"needs beyond the whole are scaled down": {
			total: 60, needs: []time.Duration{20, 40, 60}, takes: []time.Duration{20, 5, 500},
			want: []want{{10, 10}, {20, 5}, {45, 45}}, cut: "0 2",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithTimeoutCause(t.Context(), c.total*time.Second, errBudget)
				defer stop()
				var phases []phase
				var got []want
				var cut []string
				for i, need := range c.needs {
					phases = append(phases, phase{string(rune('0' + i)), need * time.Second, func(ctx context.Context) error {
						end, ok := ctx.Deadline()
						if !ok {
							t.Fatal("a phase without a deadline")
						}
						began := time.Now()
						err := sleep(ctx, c.takes[i]*time.Second)
						got = append(got, want{end.Sub(began) / time.Second, time.Since(began) / time.Second})
						return err
					}, c.must && i == 0})
				}
				err := inTurn(ctx, phases, func(p phase, had time.Duration, err error) error {
					if !errors.Is(err, errBudget) || had != got[len(got)-1].took*time.Second {
						t.Errorf("%s was cut after %v: %v", p.name, had, err)
					}
					cut = append(cut, p.name)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
				if !slices.Equal(got, c.want) || strings.Join(cut, " ") != c.cut {
					t.Errorf("had and took %v, want %v; cut were %q, want %q", got, c.want, cut, c.cut)
				}
			})
		})
	}
}

// TestInTurnWithout: without a deadline nothing is cut, and an error of a phase's own
// ends it.
func TestInTurnWithout(t *testing.T) {
	boom := errors.New("boom")
	ran := 0
	run := func(err error) phase {
		return phase{"p", time.Hour, func(ctx context.Context) error {
			ran++
			if _, ok := ctx.Deadline(); ok || fits(ctx, time.Minute, time.Hour) != time.Minute {
				t.Error("a deadline from nowhere")
			}
			return err
		}, true}
	}
	err := inTurn(context.Background(), []phase{run(nil), run(boom), run(nil)}, func(phase, time.Duration, error) error {
		t.Error("cut")
		return nil
	})
	if err != boom || ran != 2 {
		t.Errorf("%d phases, %v", ran, err)
	}
}

// TestCapacityBudget: a whole run ends with its report within its budget, whatever its
// parts do, and stuckAfter it where the last is deaf; what was not finished is said, and the parts after it are measured.
func TestCapacityBudget(t *testing.T) {
	for name, c := range map[string]struct {
		takes      []time.Duration // of each part, whose needs are 10 s
		deaf       int             // this part does not end when its time is over; -1: none
		most       time.Duration
		measured   string
		unfinished []string // begin of each
		fault      bool
	}{
		"in time":       {[]time.Duration{9, 10, 1}, -1, 20, "a b c", nil, false},
		"one too long":  {[]time.Duration{9, 1000, 10}, -1, 40, "a c", []string{"b: after 20 s"}, false},
		"all too long":  {[]time.Duration{1000, 1000, 1000}, -1, 40, "", []string{"a: after 19 s", "b: after 10 s", "c: after 10 s"}, false},
		"one is deaf":   {[]time.Duration{1, 1000, 1}, 1, 40, "a", []string{"b: after 34 s", "c: not begun"}, true},
		"the last deaf": {[]time.Duration{1, 1, 1000}, 2, 45, "a b", []string{"c: after 43 s"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var parts []capacityPart
				for i, d := range c.takes {
					part := string(rune('a' + i))
					parts = append(parts, capacityPart{part, 10 * time.Second, func(ctx context.Context) (*report.Report, error) {
						if i == c.deaf {
							ctx = context.Background()
						}
						if err := sleep(ctx, d*time.Second); err != nil {
							time.Sleep(400 * time.Millisecond) // what it leaves goes within its time
							return nil, err
						}
						r := &report.Report{}
						r.Add("x", 1, "", "")
						return r, nil
					}})
				}
				began := time.Now()
				r, err := Capacity{Budget: 40 * time.Second}.measure(t.Context(), parts)
				if took := time.Since(began); took > c.most*time.Second {
					t.Errorf("it took %v, want at most %v s", took, int(c.most))
				}
				if r == nil {
					t.Fatal(err)
				}
				var measured []string
				for _, p := range r.Parts {
					if len(p.Figures) > 0 {
						measured = append(measured, p.Part)
					}
				}
				if got := strings.Join(measured, " "); got != c.measured {
					t.Errorf("measured were %q, want %q", got, c.measured)
				}
				if len(r.Unfinished) != len(c.unfinished) {
					t.Errorf("unfinished %q, want %q", r.Unfinished, c.unfinished)
				} else {
					for i, s := range r.Unfinished {
						if !strings.HasPrefix(s, c.unfinished[i]) {
							t.Errorf("unfinished %q, want %q", s, c.unfinished[i])
						}
					}
				}
				if (err != nil) != c.fault || (len(r.Faults) > 0) != c.fault {
					t.Errorf("error %v, faults %q", err, r.Faults)
				}
				time.Sleep(time.Hour) // for who is deaf to end
			})
		})
	}
}
