package viewer

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"runtime"

	"golang.org/x/sys/unix"
)

// Serve is a child's life: it reads its job and orders from in and answers on
// out, until in ends.
func Serve(in io.Reader, out io.Writer) error {
	runtime.LockOSThread()
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) == nil && r.Cur < r.Max {
		r.Cur = r.Max
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &r) // what cannot be opened is reported then
	}
	dec := json.NewDecoder(bufio.NewReader(in))
	var job Job
	if err := dec.Decode(&job); err != nil {
		return fmt.Errorf("viewers: job: %w", err)
	}
	if job.Core > 0 {
		var set unix.CPUSet
		set.Set(job.Core - 1)
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			return fmt.Errorf("viewers: core %d: %w", job.Core-1, err)
		}
	}
	l, err := newLoop(job, out)
	if err != nil {
		_, _ = out.Write(line(answer{Error: err.Error()}))
		return err
	}
	defer l.close()
	go func() {
		defer close(l.orders)
		for {
			var o order
			if err := dec.Decode(&o); err != nil {
				l.wake()
				return
			}
			l.orders <- o
			l.wake()
		}
	}()
	if err := l.run(); err != nil {
		_, _ = out.Write(line(answer{Error: err.Error()}))
		return err
	}
	return nil
}
