//go:build linux

package tables

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Set is a number of threads with a descriptor table each. Its methods may be
// called from any goroutine.
type Set struct {
	threads []*Thread
	post    *post
}

// Open starts n threads and tests each. An error says what does not hold on
// this system; nothing is left behind then but memory.
func Open(n int) (_ *Set, err error) {
	keep, err := runtimeFDs()
	if err != nil {
		return nil, err
	}
	s := &Set{}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.post, err = newPost(); err != nil {
		return nil, err
	}
	// Whoever wakes a loop may be another loop: every table knows every
	// wake-up by the same number, so they exist before the first unshare.
	for range n {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			return nil, fmt.Errorf("tables: eventfd: %w", err)
		}
		s.threads = append(s.threads, newThread(fd, s.post))
		keep = append(keep, fd)
	}
	keep = append(keep, 0, 1, 2, s.post.out)
	for i, t := range s.threads {
		if err := t.start(keep); err != nil {
			return nil, fmt.Errorf("tables: thread %d: %w", i, err)
		}
	}
	if err := s.post.listen(); err != nil {
		return nil, err
	}
	for i, t := range s.threads {
		if err := t.check(keep); err != nil {
			return nil, fmt.Errorf("tables: own descriptor tables do not work here: thread %d: %w", i, err)
		}
	}
	return s, nil
}

// Len is the number of threads.
func (s *Set) Len() int { return len(s.threads) }

// Thread returns one thread.
func (s *Set) Thread(i int) *Thread { return s.threads[i] }

// Descriptors counts what is open in all the threads' tables; the process' own
// table, which /proc/self/fd shows, is not among them.
func (s *Set) Descriptors() (n int) {
	for _, t := range s.threads {
		dir := "/proc/self/task/" + strconv.Itoa(t.tid) + "/fd"
		if st, err := os.Stat(dir); err == nil && st.Size() > 0 { // their number, since Linux 6.2
			n += int(st.Size())
		} else if d, err := os.ReadDir(dir); err == nil {
			n += len(d)
		}
	}
	return n
}

// Close ends the threads, and with them their tables and what is open in them.
// It waits for what runs on them. Nobody may use a thread's WakeFD any more.
func (s *Set) Close() {
	for _, t := range s.threads {
		t.end()
	}
	if s.post != nil {
		s.post.close()
	}
	for _, t := range s.threads {
		_ = unix.Close(t.wake)
	}
	s.threads = nil
}

// runtimeFDs makes Go's poller exist and returns its descriptors. A thread
// without them ends the process: whoever ends a collection polls.
func runtimeFDs() ([]int, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("tables: pipe: %w", err)
	}
	err = r.SetReadDeadline(time.Now().Add(time.Hour))
	r.Close()
	w.Close()
	if err != nil {
		return nil, fmt.Errorf("tables: Go's poller does not start: %w", err)
	}
	dir, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, fmt.Errorf("tables: cannot see the process' descriptors: %w", err)
	}
	var fds []int
	polls, events := 0, 0
	for _, d := range dir {
		to, err := os.Readlink("/proc/self/fd/" + d.Name())
		if err != nil {
			continue // the directory's own
		}
		fd, _ := strconv.Atoi(d.Name())
		switch to {
		case "anon_inode:[eventpoll]":
			polls++
		case "anon_inode:[eventfd]":
			events++
		default:
			continue
		}
		fds = append(fds, fd)
	}
	if polls == 0 || events == 0 {
		return nil, errors.New("tables: the descriptors of Go's poller are not where this release of Go had them")
	}
	return fds, nil
}
