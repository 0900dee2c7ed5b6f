//go:build linux

package tables

import (
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func open(t *testing.T, n int) *Set {
	t.Helper()
	s, err := Open(n)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// lower sets the soft limit of descriptors for the rest of the test.
func lower(t *testing.T, n uint64) {
	t.Helper()
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	low := was
	low.Cur = n
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Setrlimit(unix.RLIMIT_NOFILE, &was) })
}

// Threads hold more than the limit together, and none of it is in the process'
// own table; with the threads it is gone.
func TestBeyondTheLimit(t *testing.T) {
	own := func() int {
		d, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(d)
	}
	before := own()
	s := open(t, 3)
	base, inside := s.Descriptors(), own()
	lower(t, 256)
	const each = 200
	for i := range s.Len() {
		s.Thread(i).Do(func() {
			for range each {
				if _, err := unix.Eventfd(0, unix.EFD_CLOEXEC); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	if n := s.Descriptors() - base; n != 3*each {
		t.Errorf("%d descriptors more in the threads' tables, want %d", n, 3*each)
	}
	if n := own(); n != inside {
		t.Errorf("%d descriptors in the process' own table, want %d as before", n, inside)
	}
	tids := []int{s.Thread(0).tid, s.Thread(1).tid, s.Thread(2).tid}
	s.Close()
	if n := own(); n > before+2 { // Go's poller may have begun meanwhile
		t.Errorf("%d descriptors after Close, %d before Open", n, before)
	}
	for _, tid := range tids {
		gone := func() bool {
			_, err := os.Stat("/proc/self/task/" + strconv.Itoa(tid))
			return errors.Is(err, os.ErrNotExist)
		}
		for end := time.Now().Add(30 * time.Second); !gone(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("thread %d lives on, and with it its table", tid)
			}
		}
	}
}

// Every thread can wake every other, by the number that main uses.
func TestWakeFDsAreKnownEverywhere(t *testing.T) {
	s := open(t, 3)
	defer s.Close()
	for from := range s.Len() {
		for to := range s.Len() {
			var b [8]byte
			binary.NativeEndian.PutUint64(b[:], uint64(1+from))
			s.Thread(from).Do(func() {
				if _, err := unix.Write(s.Thread(to).WakeFD(), b[:]); err != nil {
					t.Errorf("thread %d cannot wake %d: %v", from, to, err)
				}
			})
			clear(b[:])
			s.Thread(to).Do(func() { unix.Read(s.Thread(to).WakeFD(), b[:]) })
			if n := binary.NativeEndian.Uint64(b[:]); n != uint64(1+from) {
				t.Errorf("thread %d read %d, want %d from thread %d", to, n, 1+from, from)
			}
		}
	}
}

// Descriptors handed over arrive once each, at the taker they were meant for,
// while collections run on the threads and outside.
func TestPass(t *testing.T) {
	s := open(t, 3)
	defer s.Close()
	const each = 300
	var arrived sync.WaitGroup
	var threads sync.WaitGroup
	for i := range s.Len() {
		threads.Add(1)
		s.Thread(i).Go(func() {
			defer threads.Done()
			for k := range each {
				fd, err := unix.Eventfd(uint(1+k), unix.EFD_CLOEXEC)
				if err != nil {
					t.Error(err)
					return
				}
				arrived.Add(1)
				take := func(fd int, err error) {
					defer arrived.Done()
					if err != nil {
						t.Error(err)
						return
					}
					defer unix.Close(fd)
					var b [8]byte
					if _, err := unix.Read(fd, b[:]); err != nil || binary.NativeEndian.Uint64(b[:]) != uint64(1+k) {
						t.Errorf("got %v, %v, want %d", b, err, 1+k)
					}
				}
				for {
					err := s.Thread(i).Pass(fd, take)
					if err == nil {
						break
					}
					if err != ErrBusy {
						t.Error(err)
						arrived.Done()
						break
					}
					runtime.Gosched()
				}
				if k%100 == 0 {
					runtime.GC()
				}
			}
		})
	}
	runtime.GC()
	threads.Wait()
	arrived.Wait()
}

// With no room in the process' own table the taker is told, and the connection
// ends for its peer.
func TestPassWithoutRoom(t *testing.T) {
	s := open(t, 1)
	defer s.Close()
	lower(t, 64)
	var held []int
	for {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		if err != nil {
			break
		}
		held = append(held, fd)
	}
	told := make(chan error, 1)
	var peer int
	s.Thread(0).Do(func() {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			told <- err
			return
		}
		peer = pair[0]
		if err := s.Thread(0).Pass(pair[1], func(fd int, err error) { told <- err }); err != nil {
			told <- err
		}
	})
	err := <-told
	for _, fd := range held {
		unix.Close(fd)
	}
	if err != ErrLost {
		t.Errorf("got %v, want ErrLost", err)
	}
	s.Thread(0).Do(func() {
		if n, err := unix.Read(peer, make([]byte, 1)); n != 0 || err != nil {
			t.Errorf("the peer read %d, %v, want the end", n, err)
		}
	})
}

// Ordinary work of the process goes on beside the threads: files, children.
func TestOrdinaryWorkBeside(t *testing.T) {
	s := open(t, 2)
	defer s.Close()
	stop := make(chan struct{})
	var busy sync.WaitGroup
	for i := range s.Len() {
		busy.Add(1)
		s.Thread(i).Go(func() {
			defer busy.Done()
			for {
				select {
				case <-stop:
					return
				default:
				}
				fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
				if err != nil {
					t.Error(err)
					return
				}
				_ = make([]byte, 64<<10)
				unix.Close(fd)
			}
		})
	}
	dir := t.TempDir()
	for i := range 100 {
		name := dir + "/" + strconv.Itoa(i)
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteString(name)
		if err := f.Sync(); err != nil {
			t.Error(err)
		}
		f.Close()
		if b, err := os.ReadFile(name); err != nil || string(b) != name {
			t.Errorf("%q, %v", b, err)
		}
	}
	close(stop)
	busy.Wait()
}
