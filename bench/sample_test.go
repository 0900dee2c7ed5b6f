//go:build linux

package bench

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"eyrie/bench/load"
	"eyrie/bench/workload"
)

// loaded starts a server and two clients that hold links to it.
func loaded(t *testing.T, ctx context.Context, sh workload.Shape) (*Server, *load.Fleet) {
	t.Helper()
	c := common(t)
	srv, err := NewServer(c.Exe, filepath.Join(c.Dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Kill)
	if err := srv.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	key, err := srv.Key("agent")
	if err != nil {
		t.Fatal(err)
	}
	fleet, err := load.Start(ctx, load.Spawn{Exe: c.Exe, Args: c.Client}, 2, load.Job{Addr: srv.Ingest, Key: key, Shape: sh, To: sh.Connections, Sources: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fleet.Close)
	if err := fleet.Open(ctx, sh.Connections); err != nil {
		t.Fatal(err)
	}
	return srv, fleet
}

// A small load is sustained; of a larger one than came it is said. The windows
// and what came after the last of them make the whole.
func TestWatch(t *testing.T) {
	ctx := patient(t)
	srv, fleet := loaded(t, ctx, workload.Shape{Seed: 5, Agents: 200, Connections: 20, Frame: 10})
	if err := fleet.Run(2000, 0); err != nil {
		t.Fatal(err)
	}
	looks, tries := 0, 0
	w := Watch{Target: &srv.Target, Fleet: fleet, Every: 250 * time.Millisecond, Seen: func(Sample) { looks++ }}
	var v *Verdict
	// On a busy machine some of it comes late, and then all the more at once.
	for ok := false; !ok && tries < 8; tries++ {
		var err error
		if v, err = w.Sustained(ctx, 1500, 3*time.Second); err != nil {
			t.Fatal(err)
		}
		ok = v.Holds && v.Rate >= 1500 && v.Rate <= 2500
	}
	if !v.Holds || v.Rate < 1500 || v.Rate > 2500 || v.Latency.Count() == 0 || len(v.Debts) != 5 {
		t.Errorf("%v, %.0f events/s, %d acknowledgements, debts %+v", v.Why, v.Rate, v.Latency.Count(), v.Debts)
	}
	if looks != 12*tries || len(w.Samples) != looks {
		t.Errorf("%d looks in %d tries, %d samples", looks, tries, len(w.Samples))
	}
	for _, s := range w.Samples {
		if s.CPU < 0 || s.RSS < 1<<20 || s.Heap <= 0 || s.Goroutines < 5 || s.Descriptors < 20 || s.Next < 2 || s.LogDisk <= 0 || s.ViewDisk <= 0 || s.Window <= 0 {
			t.Errorf("%+v", s)
		}
	}
	if v, err := w.Sustained(ctx, 20_000, 2*time.Second); err != nil || v.Holds || !strings.Contains(v.Why[0], "acknowledged of 20,000") {
		t.Errorf("ten times the load that came: %v, %v", v, err)
	}
	if last := w.Samples[len(w.Samples)-1].At; last < 5 {
		t.Errorf("the second watch ends at %.1f s: it does not go on where the first ended", last)
	}
	rest, err := fleet.Stop(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if all := w.All.Events; all > rest.Events || all < rest.Events-2000 || w.All.Latency.Count() > rest.Latency.Count() {
		t.Errorf("%d events in windows, %d in all", all, rest.Events)
	}
	ended, stop := context.WithCancel(ctx)
	stop()
	if _, err := w.Sustained(ended, 0, time.Second); err == nil {
		t.Error("a watch that was called off gave a verdict")
	}
}

// A load goes on at another rate without a stop: what comes of it is at that rate, and nothing is
// sent twice or left out on the way.
func TestPace(t *testing.T) {
	ctx := patient(t)
	_, fleet := loaded(t, ctx, workload.Shape{Seed: 6, Agents: 200, Connections: 20, Frame: 10})
	if err := fleet.Run(500, 0); err != nil {
		t.Fatal(err)
	}
	var sum uint64
	for _, rate := range []float64{500, 8000, 1000} {
		if err := fleet.Pace(rate); err != nil {
			t.Fatal(err)
		}
		// What is still on its way of the rate before counts in a window, too: more of it
		// where the machine is busy, and none in a later one.
		var got float64
		for range 8 {
			began := time.Now()
			if err := sleep(ctx, 1500*time.Millisecond); err != nil {
				t.Fatal(err)
			}
			r, err := fleet.Window(ctx)
			if err != nil {
				t.Fatal(err)
			}
			sum += r.Events
			if got = float64(r.Events) / time.Since(began).Seconds(); got >= rate/2 && got <= rate*2 {
				break
			}
		}
		if got < rate/2 || got > rate*2 {
			t.Errorf("%.0f events/s at a pace of %.0f", got, rate)
		}
	}
	r, err := fleet.Stop(ctx)
	if err != nil || r.Events < sum || r.Events > sum+2000 || len(r.Errors) > 0 {
		t.Errorf("%d events in all, %d in the windows: %v %v", r.Events, sum, err, r)
	}
}
