package views

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"eyrie/appliance/forget"
	"eyrie/wal"
)

// Forgetter is what a Fold implements that keeps what agents said. Forget takes
// it out of what the store holds, of all saves; then the fold is loaded again. What it has
// written may be lost in a crash, from some batch on: it is then called again.
type Forgetter interface {
	Forget(store *pebble.DB, f *forget.Scope) error
}

// rewrite is a Forget on its way to the loop.
type rewrite struct {
	f    []*forget.Scope
	done chan error
}

// Forget takes out of every view, and out of the files of their store, what it
// holds of fs. All folds must have applied the records below their Below, which the
// log has forgotten. They stand still meanwhile, as long as
// they take to load; queries go on. One at a time.
func (r *Runner) Forget(ctx context.Context, fs ...*forget.Scope) error {
	w := rewrite{fs, make(chan error, 1)}
	select {
	case r.rewrites <- w:
	case <-r.stopped:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	var err error
	select {
	case err = <-w.done:
	case <-r.stopped:
		return ErrClosed
	}
	if err != nil {
		return err
	}
	return Compact(ctx, r.o.Store, r.o.Files)
}

// rewrite saves every fold, has it forget, and loads it again.
func (r *Runner) rewrite(fs []*forget.Scope) error {
	for _, m := range r.folds {
		if _, ok := m.Fold.(Forgetter); !ok {
			continue
		}
		if h := m.halted.Load(); h != nil {
			return *h // nothing was done yet; the others go on
		}
	}
	if err := r.await(nil); err != nil {
		return err
	}
	if err := r.saveAll(func(*member) bool { return true }); err != nil {
		return err
	}
	if err := r.await(nil); err != nil {
		return err
	}
	for _, m := range r.folds {
		g, ok := m.Fold.(Forgetter)
		if !ok {
			continue
		}
		for _, f := range fs {
			if err := g.Forget(r.o.Store, f); err != nil {
				return err
			}
		}
		stood := m.next
		if err := m.open(&r.o); err != nil {
			return err
		}
		if m.next < stood {
			return fmt.Errorf("views: %s could not be loaded again, and is folded anew at the next start", m.name)
		}
	}
	return nil
}

// Compact merges the store's tables, so that nothing that was deleted or replaced
// is left in its files, and gives their space back.
func Compact(ctx context.Context, store *pebble.DB, files Files) error {
	if err := store.Flush(); err != nil {
		return err
	}
	if err := store.Compact(ctx, []byte{0}, []byte{0xff}, false); err != nil {
		return err
	}
	if files.Dir == "" {
		return nil
	}
	return wal.AwaitTables(ctx, files.FS, files.Dir, store)
}

// Files is where a store lies, so that who waits for a file to be gone can look.
type Files struct {
	FS  vfs.FS
	Dir string
}
