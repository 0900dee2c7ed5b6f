package bench

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// selfCPU is what this process and its children that were waited for have used.
func selfCPU() (d time.Duration) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var r syscall.Rusage
		if err := syscall.Getrusage(who, &r); err == nil {
			d += time.Duration(r.Utime.Nano() + r.Stime.Nano())
		}
	}
	return d
}

// threadCPU is what the calling thread has used.
func threadCPU() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// dataSync makes what was written to the file durable, and its size.
func dataSync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }

// descriptorsMax is the hard limit of descriptors of one process.
func descriptorsMax() uint64 {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) != nil {
		return 0
	}
	return r.Max
}

// memoryAvailable is what the kernel says can be had without swapping, bytes.
func memoryAvailable() uint64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for l := range strings.Lines(string(b)) {
		var kib uint64
		if n, _ := fmt.Sscanf(l, "MemAvailable: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return 0
}
