package wal

import (
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// tableReads fails one of the reads of tables made while armed.
type tableReads struct {
	armed func() bool
	at    int64
	n     atomic.Int64
}

func (f *tableReads) String() string { return "reads of tables" }

func (f *tableReads) MaybeError(op errorfs.Op) error {
	if op.Kind == errorfs.OpFileReadAt && strings.HasSuffix(op.Path, ".sst") && f.armed != nil && f.armed() && f.n.Add(1) == f.at {
		return syscall.EIO
	}
	return nil
}

// TestExciseFailsToRead takes the first blocks out of the store, up to the middle
// of a table, while one read fails after the other: the log must fail, and hold
// all of its records when it is opened again.
func TestExciseFailsToRead(t *testing.T) {
	failed := 0
	for at := int64(1); ; at++ {
		mem := vfs.NewMem()
		o := small(mem)
		o.Seal.Off = true
		r := mustOpen(t, o)
		p, _ := r.mustFence(t, 1, 1, 1)
		payload := make([]byte, 2000)
		for seq := range uint64(1000) {
			if v := r.w.Append(p, seq+1, 0, 0, 1, 0, 1, payload); v != Stored {
				t.Fatal(v)
			}
			if seq%10 == 9 {
				r.mustCommit(t)
			}
		}
		want := len(r.all(t))
		r.mustClose(t)

		f := &tableReads{at: at}
		o.FS = errorfs.Wrap(mem, f)
		o.StoreCacheBytes = 1 // so that tables are read again
		r = mustOpen(t, o)
		f.armed = func() bool { return r.excising.Load() > 0 }
		err := r.excise(key8(prefixBody, 0), key8(prefixBody, 503))
		if f.n.Load() < at {
			if err != nil {
				t.Fatal(err)
			}
			r.mustClose(t)
			break
		}
		failed++
		if err == nil || r.Err() == nil {
			t.Errorf("read %d failed: %v, the log %v", at, err, r.Err())
		}
		_ = r.Close()
		o.FS = mem
		again, err := open(o)
		if err != nil {
			t.Fatalf("after read %d has failed: %v", at, err)
		}
		if got := len(again.all(t)); got != want {
			t.Fatalf("after read %d has failed: %d records, want %d", at, got, want)
		}
		again.mustClose(t)
	}
	if failed == 0 {
		t.Error("no table was read")
	}
	t.Logf("%d reads failed in turn", failed)
}
