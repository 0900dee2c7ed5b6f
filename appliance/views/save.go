package views

import (
	"errors"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// write is work for the committer: a batch of one fold, or a flush.
type write struct {
	f     *member
	b     *pebble.Batch
	rows  Rows // that go into a table of their own, before b; may be nil
	next  uint64
	count uint64 // of the records that it holds
	flush bool
}

// written is its answer.
type written struct {
	write
	bytes int // of the batch
	err   error
}

// commit is the committer's goroutine: batches go into the store and the store
// is flushed without holding up the folds. At most one batch a fold and one
// flush are on their way, so no channel blocks.
func (r *Runner) commit() {
	defer close(r.done)
	r.o.Background()
	for w := range r.commits {
		var err error
		size := 0
		if w.flush {
			if err = r.o.Store.Flush(); err == nil {
				for _, f := range r.folds { // batches are committed by this goroutine alone
					f.kept.Store(f.durable.Load())
				}
			}
		} else {
			start := time.Now()
			apart := 0
			if w.rows != nil {
				apart, err = r.ingest(w.f.name, w.rows)
			}
			size = w.b.Len()
			if err == nil {
				err = w.b.Commit(pebble.NoSync)
			}
			if e := w.b.Close(); err == nil {
				err = e
			}
			if err == nil {
				w.f.saves.UpdateDuration(start)
				w.f.saveBytes.Add(size + apart)
				w.f.durable.Store(w.next)
				if s, ok := w.f.Fold.(Saver); ok {
					s.Saved()
				}
			}
		}
		r.done <- written{w, size, err}
	}
}

// settle takes the committer's answer.
func (r *Runner) settle(w written) {
	if w.f != nil {
		w.f.writing = false
		w.f.perRecord = float64(w.bytes) / float64(w.count)
	}
	if w.flush {
		r.flushing = false
	}
	if w.err != nil {
		r.broken = w.err
	}
}

// drain takes the answers that are there.
func (r *Runner) drain() error {
	for {
		select {
		case w := <-r.done:
			r.settle(w)
		default:
			return r.broken
		}
	}
}

// await waits until nothing of f (of anything, with nil) is on its way.
func (r *Runner) await(f *member) error {
	for {
		busy := r.flushing && f == nil
		for _, m := range r.folds {
			busy = busy || m.writing && (f == nil || f == m)
		}
		if !busy {
			return r.broken
		}
		r.settle(<-r.done)
	}
}

const batchHintMax = 256 << 20

// save hands a batch with all that f changed and its cursor to the committer.
// mark is for saveDigests.
func (r *Runner) save(f *member, mark uint64) error {
	// As large as the last one was, by record, and some: one that grows copies.
	n := max(f.next-f.saved, 1)
	b := r.o.Store.NewBatchWithSize(min(int(f.perRecord*float64(n)*9/8), batchHintMax))
	var rows Rows
	var err error
	if a, ok := f.Fold.(Apart); ok && r.o.Files.Dir != "" {
		rows, err = a.SaveApart(b)
	} else {
		err = f.Fold.Save(b)
	}
	if err != nil {
		b.Close()
		return err
	}
	from, err := r.saveDigests(b, f, mark)
	if err != nil {
		b.Close()
		return err
	}
	c := cursor{version: f.version, log: r.o.Log.ID(), epoch: r.o.Log.Epoch(), next: f.next, digests: from}
	if err := b.Set(cursorKey(f.name), c.append(nil), nil); err != nil {
		b.Close()
		return err
	}
	f.writing, f.saved, f.savedAt = true, f.next, r.o.Now()
	r.commits <- write{f: f, b: b, rows: rows, next: f.next, count: n}
	return nil
}

// saveAll saves the folds that have something to save and are due, all at once.
func (r *Runner) saveAll(due func(f *member) bool) error {
	errs := make([]error, len(r.folds))
	var running sync.WaitGroup
	mark := r.given.of.Mark()
	for i, f := range r.folds {
		if f.next != f.saved && f.halted.Load() == nil && due(f) {
			r.crew.do(i, &running, func() { errs[i] = r.save(f, mark) })
		}
	}
	running.Wait()
	return errors.Join(errs...)
}

// untilDue returns how long the loop may wait for a block; false: as long as
// it takes, nothing is unsaved.
func (r *Runner) untilDue() (time.Duration, bool) {
	now := r.o.Now()
	wait, any := time.Duration(0), false
	earlier := func(at time.Time) {
		if d := max(at.Sub(now), time.Millisecond); !any || d < wait {
			wait, any = d, true
		}
	}
	for _, f := range r.folds {
		if f.next != f.saved && !f.writing && f.halted.Load() == nil {
			earlier(f.savedAt.Add(r.o.SaveEvery))
		}
		if f.writing {
			// Look again soon: its answer comes without a block.
			earlier(now.Add(50 * time.Millisecond))
		}
	}
	if r.unflushed > 0 || r.flushing {
		earlier(r.flushedAt.Add(r.flushAfter()))
	}
	return wait, any
}

// flushFirst is after how long a life flushes first.
const flushFirst = time.Second

// flushAfter returns how long after the last flush the next is due: as long as
// this life was old at that, from flushFirst up to FlushEvery. So a life that is
// cut short leaves half of what it has folded. Without that, one that is killed
// again and again before FlushEvery would fold the same records each time, and more
// of them, and never get beyond.
func (r *Runner) flushAfter() time.Duration {
	return min(r.o.FlushEvery, max(flushFirst, r.flushedAt.Sub(r.startedAt)))
}

// saveDue saves the folds whose time has come, before a flush nearly all of them,
// and flushes the store.
func (r *Runner) saveDue() error {
	if err := r.drain(); err != nil {
		return err
	}
	now := r.o.Now()
	late := now.Sub(r.flushedAt) >= r.flushAfter() || r.costly()
	flush := !r.flushing && r.unflushed > 0 && (late || r.unflushed >= r.o.FlushBytes)
	err := r.saveAll(func(f *member) bool {
		return !f.writing && (flush && (late || f.records > 0) ||
			now.Sub(f.savedAt) >= r.o.SaveEvery || f.records > 0 && f.next-f.saved >= f.records)
	})
	if err != nil {
		return err
	}
	if flush {
		r.flushing, r.flushedAt, r.unflushed = true, now, 0
		r.commits <- write{flush: true}
	}
	return nil
}

// costly tells whether a fold that can be saved now would take as long as Refold
// to fold again what it has not saved.
func (r *Runner) costly() bool {
	for _, f := range r.folds {
		n := f.next - f.saved
		if n >= r.o.RefoldRecords && !f.writing && f.halted.Load() == nil && r.pace.of(n) >= r.o.Refold {
			return true
		}
	}
	return false
}

// finish saves every fold and flushes: what Close promises.
func (r *Runner) finish() error {
	if err := r.await(nil); err != nil {
		return err
	}
	// A turn that was cut short was not accounted for: those that took of it save nothing, and are
	// given it again in the next life.
	whole := func(f *member) bool { return f.failed == nil && (f.own != nil || f.next == r.givenNext) }
	if err := r.saveAll(whole); err != nil {
		return err
	}
	r.flushing = true
	r.commits <- write{flush: true}
	return r.await(nil)
}
