package intake

import (
	"testing"
	"time"

	"eyrie/wal"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestRest(t *testing.T) {
	for _, c := range []struct {
		busy float64
		took time.Duration
		want time.Duration
	}{
		{0, time.Second, 0},
		{restFrom, time.Second, 0},
		{0.8, time.Millisecond, 4 * time.Millisecond},
		{1, time.Millisecond, 8 * time.Millisecond},
		{1, 0, 0}, // nothing was handed over yet
		{1, time.Second, restMost},
		{7, time.Second, restMost},
		{-1, time.Second, 0},
	} {
		var r rest
		if c.took > 0 {
			r.durable(c.took)
		}
		for range 200 {
			r.host(c.busy)
		}
		if got := r.length(); got < c.want-c.want/50 || got > c.want {
			t.Errorf("%.1f of the cores in use, a group takes %v: rest of %v, want %v", c.busy, c.took, got, c.want)
		}
	}
	var r rest
	r.durable(time.Millisecond)
	for range 200 {
		r.durable(9 * time.Millisecond)
	}
	if d := time.Duration(r.took.Load()); d < 8900*time.Microsecond || d > 9*time.Millisecond {
		t.Errorf("groups take 9 ms for long: taken to be %v", d)
	}
}

// press makes the intake believe that the cores are busy and that commits take long.
func (r *rig) press() {
	for range 200 {
		r.in.Busy(1)
	}
	r.in.rest.took.Store(int64(1000 * time.Hour))
}

// TestBusyHostGathers sends one event after the other: while the cores are busy, no two
// groups are handed over within a look, and each event is answered.
func TestBusyHostGathers(t *testing.T) {
	r := newRig(t, vfs.NewMem())
	r.press()
	begun := time.Now()
	r.put(hello(1, 1, 1))
	r.wait(1)
	const events = 200
	for i := range uint64(events) {
		r.put(event(1, 1+i, "x"), end(1, 1+i))
		time.Sleep(200 * time.Microsecond)
	}
	for acked := uint64(0); acked < events; {
		for _, a := range r.wait(1) {
			acked = max(acked, a.To)
		}
	}
	r.in.Stop()
	took := time.Since(begun)
	if err := <-r.done; err != nil {
		t.Fatal(err)
	}
	// A rest ends at its first look where the test was held up so long.
	if most := 2 + uint64(took/(restMost/restLooks)); r.in.groups-1 > most {
		t.Errorf("%d groups in %v, want %d at most", r.in.groups-1, took, most)
	}
	if err := r.log.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestResting says when the intake goes on with what it has.
func TestResting(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	in := New(nil, nil, Options{Now: func() time.Time { return now }})
	log, err := wal.Open(wal.Options{FS: vfs.NewMem(), Dir: "log", Committed: in.Committed, Ready: in.Ready})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	in.Attach(log, &fakeLinks{})
	in.begin()
	in.rest.took.Store(int64(time.Hour))
	const look = restMost / restLooks
	for name, c := range map[string]struct {
		calm         bool
		since        time.Duration // a group was handed over
		looks, found int
		want         time.Duration
	}{
		"nobody needs the cores":     {calm: true},
		"after a group":              {want: look},
		"long after a group":         {since: restMost},
		"the rest of it":             {since: restMost - time.Millisecond, want: time.Millisecond},
		"something came in":          {looks: 1, found: 7, since: look, want: look},
		"nothing came in":            {looks: 1, since: look},
		"the last look":              {looks: restLooks, found: 7, since: look},
		"the clock went back":        {looks: 1, found: 7, since: -time.Hour, want: look},
		"and no more after the last": {looks: restLooks, found: 7, since: -time.Hour},
	} {
		in.rest.busy.Store(1 << 16)
		if c.calm {
			in.rest.busy.Store(1 << 15)
		}
		in.handed = now.Add(-c.since)
		if got := in.resting(c.looks, c.found); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
