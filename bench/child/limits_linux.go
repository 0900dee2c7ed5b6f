package child

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// RaiseDescriptors raises the soft limit of descriptors to the hard one. What cannot
// be opened then is reported then.
func RaiseDescriptors() {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) == nil && r.Cur < r.Max {
		r.Cur = r.Max
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &r)
	}
}

// Pin holds all threads of this process, and those that they start, to core core-1;
// with 0 it does nothing.
func Pin(core int) error {
	if core == 0 {
		return nil
	}
	var set unix.CPUSet
	set.Set(core - 1)
	for _, tid := range threads() {
		if err := unix.SchedSetaffinity(tid, &set); err != nil {
			return fmt.Errorf("core %d: %w", core-1, err)
		}
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
