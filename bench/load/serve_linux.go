package load

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// Serve is a child's life: it reads its job and orders from in and answers on
// out, until in ends.
func Serve(in io.Reader, out io.Writer) error {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) == nil && r.Cur < r.Max {
		r.Cur = r.Max
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &r) // what cannot be opened is reported then
	}
	dec := json.NewDecoder(bufio.NewReader(in))
	var job Job
	if err := dec.Decode(&job); err != nil {
		return fmt.Errorf("load client: job: %w", err)
	}
	if job.Core > 0 {
		var set unix.CPUSet
		set.Set(job.Core - 1)
		for _, tid := range threads() { // later ones inherit it
			if err := unix.SchedSetaffinity(tid, &set); err != nil {
				return fmt.Errorf("load client: core %d: %w", job.Core-1, err)
			}
		}
	}
	l, err := newLoop(job, out)
	if err != nil {
		out.Write(line(answer{Says: saysFailed, Error: err.Error()}))
		return err
	}
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
	runtime.LockOSThread()
	if err := l.run(); err != nil {
		out.Write(line(answer{Says: saysFailed, Error: err.Error()}))
		return err
	}
	return nil
}

// threads are those of this process.
func threads() (tids []int) {
	all, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return []int{0}
	}
	for _, e := range all {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			tids = append(tids, n)
		}
	}
	return tids
}
