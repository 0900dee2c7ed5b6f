//go:build linux

package netpoll

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// With no descriptor left New says so, and keeps none of those it had opened.
func TestNewWithoutDescriptors(t *testing.T) {
	var held []int
	defer func() {
		for _, fd := range held {
			unix.Close(fd)
		}
	}()
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	low := was
	low.Cur = 64
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &was)
	for {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		if err != nil {
			break
		}
		held = append(held, fd)
	}
	// Each round leaves one descriptor more than the one before, so that every
	// step of the making fails once.
	for free := range 3 {
		if free > 0 {
			unix.Close(held[len(held)-1])
			held = held[:len(held)-1]
		}
		_, err := New(Config{Loops: 1}, func(*Loop) Handler { return nil })
		if !errors.Is(err, unix.EMFILE) {
			t.Fatalf("%d descriptors free: got %v, want EMFILE", free, err)
		}
		if fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC); free > 0 && err != nil {
			t.Fatalf("%d descriptors free: one was not given back", free)
		} else if err == nil {
			unix.Close(fd)
		}
	}
}
