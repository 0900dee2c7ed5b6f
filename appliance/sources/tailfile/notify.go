package tailfile

import (
	"context"
	"time"

	"github.com/fsnotify/fsnotify"
)

// notifier wakes a follower when a watched folder changes. A nil notifier, and one whose watches fail
// (descriptors run out, a network file system), leaves it to the rescan.
type notifier struct {
	w    *fsnotify.Watcher
	dirs map[string]bool
}

func newNotifier() *notifier {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil
	}
	return &notifier{w: w, dirs: map[string]bool{}}
}

// watch adds a folder. Adding it again is cheap and right after the folder was deleted and made anew.
func (n *notifier) watch(dir string) {
	if n == nil || n.dirs[dir] {
		return
	}
	n.dirs[dir] = n.w.Add(dir) == nil
}

// wait returns the paths that were written to, nil when anything may have changed or the rescan is due.
func (n *notifier) wait(ctx context.Context, rescan time.Duration, wake <-chan time.Time) (map[string]bool, error) {
	timer := time.NewTimer(rescan)
	defer timer.Stop()
	var events <-chan fsnotify.Event
	var errs <-chan error
	if n != nil {
		events, errs = n.w.Events, n.w.Errors
	}
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-timer.C:
			return nil, nil
		case <-wake:
			return map[string]bool{}, nil
		case <-errs: // an overflow: look at everything
			return nil, nil
		case e := <-events:
			touched := map[string]bool{}
			if !n.note(e, touched) {
				return nil, nil
			}
			if more := n.drain(touched); !more {
				return nil, nil
			}
			if len(touched) > 0 {
				return touched, nil
			}
		}
	}
}

// note takes in one event; false when more than a file's content changed.
func (n *notifier) note(e fsnotify.Event, touched map[string]bool) bool {
	switch {
	case e.Has(fsnotify.Create):
		return false
	case e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename):
		delete(n.dirs, e.Name) // if it was a folder, its watch is gone
		return false
	case e.Has(fsnotify.Write):
		touched[e.Name] = true
	}
	return true
}

// drain takes what is already reported: one look answers all of it. False as note.
func (n *notifier) drain(touched map[string]bool) bool {
	for {
		select {
		case e := <-n.w.Events:
			if !n.note(e, touched) {
				return false
			}
		default:
			return true
		}
	}
}

func (n *notifier) close() {
	if n != nil {
		n.w.Close()
	}
}
