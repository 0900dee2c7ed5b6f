//go:build linux

package engine

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugePage is the size of a large page on every architecture we run on, or a
// multiple of it.
const hugePage = 2 << 20

// hugeBytes returns n zero bytes that the kernel is asked to back with large
// pages: what a ring writes lies farther apart than the processor remembers
// small ones. What the kernel answers does not matter.
func hugeBytes(n int) []byte {
	b := make([]byte, n+hugePage)
	at := int(-uintptr(unsafe.Pointer(&b[0])) & (hugePage - 1))
	b = b[at : at+n : at+n]
	_ = unix.Madvise(b, unix.MADV_HUGEPAGE)
	return b
}
