package spans

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// linesApart is how many lines are taken from the system and not from the heap: beside what
// lies there the collector lets as much garbage gather, or twice as much.
const linesApart = 1 << 16 // 4 MiB

// newLines returns n lines of zeros, and what has to be kept as long as they are used:
// once nothing refers to it, the system has them back.
func newLines(n int) ([]line, *lease) {
	if n < linesApart {
		return make([]line, n), nil
	}
	b, err := unix.Mmap(-1, 0, n*lineBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return make([]line, n), nil
	}
	l := &lease{b}
	runtime.AddCleanup(l, func(b []byte) { _ = unix.Munmap(b) }, b)
	return unsafe.Slice((*line)(unsafe.Pointer(unsafe.SliceData(b))), n), l
}
