package oracle

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"eyrie/bench/ledger"
	"eyrie/bench/workload"
	"eyrie/engine/wire"
	"eyrie/wal"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var shape = workload.Shape{Seed: 5, Agents: 40, Connections: 2, Frame: 10}

// fill makes a log in memory with n events of each of two connections, the
// second number of connection 0 with another content where that is asked for.
func fill(t *testing.T, n int, forge bool) *wal.Log {
	t.Helper()
	done := make(chan error, 1)
	l, err := wal.Open(wal.Options{FS: vfs.NewMem(), Dir: "log", MemtableBytes: 1 << 20, DiskFree: func(string) (uint64, error) { return 1 << 40, nil },
		Committed: func(_ any, _, _ uint64, err error) { done <- err }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	w := l.Writer()
	for c := range 2 {
		p, _, err := w.Fence(wal.ProducerKey{Space: "main", Owner: "agent", ID: shape.Producer(c)}, 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		s := workload.NewStream(shape, c)
		for i := range n {
			payload := s.Append(nil, 1_700_000_000_000)
			h, fe := wire.CheckPayload(payload)
			if fe != nil {
				t.Fatal(fe)
			}
			if forge && c == 0 && i == 1 {
				payload = (&wire.Event{Type: wire.TypeMetrics, Agent: string(h.Agent), Metrics: map[string]float64{"forged": 1}}).AppendMsgpack(nil)
				h, _ = wire.CheckPayload(payload)
			}
			if v := w.Append(p, uint64(i+1), uint8(h.Type), h.Flags(), w.Agent([]byte("main"), h.Agent), h.Key, 1_700_000_000_000_000_000, payload); v != wal.Stored {
				t.Fatal(v)
			}
		}
	}
	w.Commit(nil)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return l
}

// book writes a ledger of n events of connection 0 and m of connection 1.
func book(t *testing.T, n, m int) *ledger.Ledger {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledger")
	w, err := ledger.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for c, count := range []int{n, m} {
		s := workload.NewStream(shape, c)
		for i := range count {
			if err := w.Add(c, uint64(i+1), ledger.Sum(s.Append(nil, 1_700_000_000_000))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if l.Len() != uint64(n+m) {
		t.Fatalf("%d rows of %d", l.Len(), n+m)
	}
	return l
}

var conns = map[[16]byte]int{shape.Producer(0): 0, shape.Producer(1): 1}

func TestCheckLogFindsWhatIsWrong(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		log  *wal.Log
		led  *ledger.Ledger
		want LogVerdict
	}{
		"right":   {fill(t, 50, false), book(t, 50, 50), LogVerdict{Events: 100}},
		"missing": {fill(t, 50, false), book(t, 53, 50), LogVerdict{Events: 100, Missing: 3}},
		"unasked": {fill(t, 50, false), book(t, 50, 49), LogVerdict{Events: 100, Unasked: 1}},
		"changed": {fill(t, 50, true), book(t, 50, 50), LogVerdict{Events: 100, Changed: 1}},
	} {
		v, err := CheckLog(ctx, c.log, c.led, conns)
		if err != nil {
			t.Fatal(err)
		}
		if v.Right() != (name == "right") || v.Right() != (len(v.Says) == 0) {
			t.Errorf("%s: right is %v, and it says %q", name, v.Right(), v.Says)
		}
		v.Says = nil
		if v.Events != c.want.Events || v.Missing != c.want.Missing || v.Unasked != c.want.Unasked || v.Changed != c.want.Changed || v.Twice != c.want.Twice {
			t.Errorf("%s: %+v, want %+v", name, *v, c.want)
		}
	}
}

func open(t *testing.T, fs vfs.FS, l *wal.Log) *Views {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	v, err := OpenViews(ctx, fs, "views", l)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// The same log gives the same views, from a snapshot as from zero; another log
// is noticed in each view.
func TestCompareViews(t *testing.T) {
	ctx := context.Background()
	l := fill(t, 300, false)
	disk := vfs.NewMem()
	if err := open(t, disk, l).Close(); err != nil {
		t.Fatal(err)
	}
	got, want, other := open(t, disk, l), open(t, vfs.NewMem(), l), open(t, vfs.NewMem(), fill(t, 300, true))
	defer got.Close()
	defer want.Close()
	defer other.Close()
	if got.Loaded != l.Next() || want.Loaded != 1 {
		t.Fatalf("snapshots reach to %d and %d, want %d and 1", got.Loaded, want.Loaded, l.Next())
	}
	v, err := CompareViews(ctx, got, want)
	if err != nil {
		t.Fatal(err)
	}
	if !v.Right() || v.Agents < 30 || v.Spans < 100 || v.Series < 50 || v.Samples < 200 || v.Runs < 1 {
		t.Errorf("the same log: %+v", *v)
	}
	// Each view's comparison notices by itself.
	for name, compare := range map[string]func(v *ViewsVerdict, f *faults) error{
		"fleet":  func(v *ViewsVerdict, f *faults) error { compareFleet(other, want, v, f); return nil },
		"spans":  func(v *ViewsVerdict, f *faults) error { return compareSpans(ctx, other, want, v, f) },
		"series": func(v *ViewsVerdict, f *faults) error { return compareSeries(other, want, v, f) },
	} {
		var f faults
		if err := compare(&ViewsVerdict{}, &f); err != nil {
			t.Fatal(err)
		}
		if f.n == 0 {
			t.Errorf("%s: another log was not noticed", name)
		}
	}
	if v, err = CompareViews(ctx, other, want); err != nil || v.Right() {
		t.Errorf("another log: %+v, %v", *v, err)
	}
}
