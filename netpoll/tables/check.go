//go:build linux

package tables

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// checkTime bounds one step of the test, none of which waits for anything but
// this process.
const checkTime = 5 * time.Second

// check proves on one thread what the set is relied on for.
func (t *Thread) check(keep []int) error {
	if err := t.checkSeparate(); err != nil {
		return err
	}
	// Without Go's own descriptors the next step ends the process instead of
	// returning an error: so look first.
	var lost error
	t.Do(func() {
		for _, fd := range keep {
			if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil && fd > 2 {
				lost = fmt.Errorf("descriptor %d, which must be kept, is gone: %w", fd, err)
			}
		}
	})
	if lost != nil {
		return lost
	}
	t.Do(runtime.GC)
	return t.checkPass()
}

// checkSeparate opens a descriptor outside and looks for it on the thread.
func (t *Thread) checkSeparate() error {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var seen error
	t.Do(func() { _, seen = unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0) })
	if !errors.Is(seen, unix.EBADF) {
		return errors.New("its table is not its own: it knows what was opened outside")
	}
	return nil
}

// checkPass hands one end of a connection over, has it written to and closed
// there, and reads byte and end on the thread.
func (t *Thread) checkPass() (err error) {
	taken := make(chan error, 1)
	t.Do(func() {
		var pair [2]int
		if pair, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return
		}
		defer unix.Close(pair[0])
		err = t.Pass(pair[1], func(fd int, err error) {
			if err == nil {
				_, err = unix.Write(fd, []byte{7})
				err = errors.Join(err, unix.Close(fd))
			}
			taken <- err
		})
		if err != nil {
			_ = unix.Close(pair[1])
			return
		}
		wait := unix.NsecToTimeval(int64(checkTime))
		if err = unix.SetsockoptTimeval(pair[0], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
			return
		}
		var b [2]byte
		for step, want := range []int{1, 0} {
			var n int
			for {
				if n, err = unix.Read(pair[0], b[:]); err != unix.EINTR {
					break
				}
			}
			if err != nil || n != want {
				err = fmt.Errorf("a descriptor that was handed over did not work: step %d read %d bytes, %w", step, n, errOr(err))
				return
			}
		}
	})
	if err != nil {
		return err
	}
	return <-taken
}

func errOr(err error) error {
	if err == nil {
		return errors.New("want another number")
	}
	return err
}
