//go:build linux

package tables

import (
	"fmt"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"
)

// Thread is one thread with a table of its own.
type Thread struct {
	wake int
	tid  int
	post *post
	work chan func()
	done chan struct{} // closed when the thread takes no more work
}

func newThread(wake int, p *post) *Thread {
	return &Thread{wake: wake, post: p, work: make(chan func()), done: make(chan struct{})}
}

// WakeFD is an eventfd, non-blocking, known by this number in every table of
// the Set and in the process' own. It lives until Set.Close.
func (t *Thread) WakeFD() int { return t.wake }

// Do runs fn on the thread and waits for it.
func (t *Thread) Do(fn func()) {
	end := make(chan struct{})
	t.work <- func() {
		defer close(end)
		fn()
	}
	<-end
}

// Go runs fn on the thread once it has nothing else to do. It returns when fn
// has begun.
func (t *Thread) Go(fn func()) { t.work <- fn }

func (t *Thread) start(keep []int) error {
	up := make(chan error)
	go t.live(keep, up, make(chan struct{}))
	return <-up
}

// live is the thread's life. It never unlocks: the thread ends with it, and
// with the thread its table.
func (t *Thread) live(keep []int, up chan<- error, placed chan struct{}) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// The first thread's table is what /proc shows for the process, and
		// it belongs to main. Keep this thread until another one is ours.
		again := make(chan struct{})
		go t.live(keep, up, again)
		<-again
		runtime.UnlockOSThread()
		return
	}
	close(placed)
	if err := unix.Unshare(unix.CLONE_FILES); err != nil {
		up <- fmt.Errorf("unshare: %w", err)
		close(t.done)
		return
	}
	if err := closeOthers(keep); err != nil {
		up <- err
		close(t.done)
		return
	}
	t.tid = unix.Gettid()
	up <- nil
	for fn := range t.work {
		fn()
	}
	close(t.done)
}

func (t *Thread) end() {
	if t.tid == 0 {
		return // it never got its table
	}
	close(t.work)
	<-t.done
}

// closeOthers closes all descriptors of this thread's table but those to keep:
// a copy of a socket or a lock left here would outlive the original's close.
func closeOthers(keep []int) error {
	keep = slices.Clone(keep)
	slices.Sort(keep)
	first := uint(0)
	gap := func(last uint) error {
		if first > last {
			return nil
		}
		if err := unix.CloseRange(first, last, 0); err != nil {
			return fmt.Errorf("close_range: %w", err)
		}
		return nil
	}
	for _, fd := range keep {
		if fd > 0 {
			if err := gap(uint(fd) - 1); err != nil {
				return err
			}
		}
		first = uint(fd) + 1
	}
	return gap(1<<32 - 1)
}
