//go:build linux

package netpoll

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Calls on non-blocking sockets go through RawSyscall: they return at once and
// need no leave from the scheduler. What can block goes through Syscall.

// recv returns the bytes read, or a negated errno.
func recv(fd int32, b []byte) int {
	for {
		n, _, e := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, 0, 0)
		if e == 0 {
			return int(n)
		}
		if e != unix.EINTR {
			return -int(e)
		}
	}
}

// discard takes at most most bytes that have come in and throws them away: the
// kernel copies none of them (tcp(7), MSG_TRUNC). It returns their number, or a
// negated errno.
func discard(fd int32, most int) int {
	for {
		n, _, e := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), 0, uintptr(most), unix.MSG_TRUNC, 0, 0)
		if e == 0 {
			return int(n)
		}
		if e != unix.EINTR {
			return -int(e)
		}
	}
}

// send returns the bytes written, or a negated errno.
func send(fd int32, b []byte) int {
	for {
		n, _, e := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
		if e == 0 {
			return int(n)
		}
		if e != unix.EINTR {
			return -int(e)
		}
	}
}

// sendmsg returns the bytes written, or a negated errno.
func sendmsg(fd int32, m *unix.Msghdr) int {
	for {
		n, _, e := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(m)), unix.MSG_NOSIGNAL)
		if e == 0 {
			return int(n)
		}
		if e != unix.EINTR {
			return -int(e)
		}
	}
}

// accept returns a descriptor or a negated errno.
func accept(fd int32, from *unix.RawSockaddrAny) int {
	for {
		size := uint32(unsafe.Sizeof(*from))
		n, _, e := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(from)), uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		if e == 0 {
			return int(n)
		}
		if e != unix.EINTR {
			return -int(e)
		}
	}
}

// epollWait waits ms milliseconds, for ever if negative.
func epollWait(ep int, evs []unix.EpollEvent, ms int) (int, unix.Errno) {
	var n uintptr
	var e unix.Errno
	p := uintptr(unsafe.Pointer(unsafe.SliceData(evs)))
	if ms == 0 {
		n, _, e = unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(ep), p, uintptr(len(evs)), 0, 0, 0)
	} else {
		n, _, e = unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(ep), p, uintptr(len(evs)), uintptr(ms), 0, 0)
	}
	if e != 0 {
		return 0, e
	}
	return int(n), 0
}

// addrPort reads the address accept wrote; zero for families other than IP.
func addrPort(sa *unix.RawSockaddrAny) netip.AddrPort {
	port := func(p *uint16) uint16 {
		b := (*[2]byte)(unsafe.Pointer(p))
		return uint16(b[0])<<8 | uint16(b[1])
	}
	switch sa.Addr.Family {
	case unix.AF_INET:
		a := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), port(&a.Port))
	case unix.AF_INET6:
		a := (*unix.RawSockaddrInet6)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), port(&a.Port))
	}
	return netip.AddrPort{}
}

// sockErr is the pending error of a socket, or EOF's stand-in ECONNRESET.
func sockErr(fd int32) error {
	if v, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR); err == nil && v != 0 {
		return unix.Errno(v)
	}
	return unix.ECONNRESET
}
