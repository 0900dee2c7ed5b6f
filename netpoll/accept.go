//go:build linux

package netpoll

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// listener is one loop's share of a listening address.
type listener struct {
	fd      int32
	id      uint32 // in the epoll event
	tag     int
	mutedTo int64 // not watched until then, 0 = watched
}

// Listen accepts connections on addr ("host:port", port 0 for any) and hands
// tag to Open. Every loop has a socket of its own there; the kernel spreads
// connections over them. It may be called before Start and after. An address
// that another socket listens on is an error, although ours share it.
func (p *Poll) Listen(addr string, tag int) (netip.AddrPort, error) {
	p.mu.Lock()
	if p.down {
		p.mu.Unlock()
		return netip.AddrPort{}, ErrShutdown
	}
	p.mu.Unlock()
	fds, at, err := listenSockets(addr, len(p.loops))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("netpoll: listen on %s: %w", addr, err)
	}
	failed := make([]error, len(p.loops))
	for i := range failed {
		failed[i] = ErrShutdown // unless the loop says otherwise
	}
	p.onLoops(func(l *Loop) { failed[l.index] = l.addListener(fds[l.index], tag) })
	for i, err := range failed {
		if err == ErrShutdown {
			_ = unix.Close(fds[i])
		}
	}
	if err := errors.Join(failed...); err != nil {
		return netip.AddrPort{}, fmt.Errorf("netpoll: listen on %s: %w", addr, err)
	}
	return at, nil
}

// listenSockets opens n sockets that listen on the same address.
func listenSockets(addr string, n int) (fds []int, at netip.AddrPort, err error) {
	defer func() {
		if err != nil {
			for _, fd := range fds {
				_ = unix.Close(fd)
			}
		}
	}()
	ta, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, at, err
	}
	at = ta.AddrPort()
	if ta.IP == nil { // every address of the host, both families if it has both
		at = netip.AddrPortFrom(netip.IPv6Unspecified(), at.Port())
		if fd, e := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); e != nil {
			at = netip.AddrPortFrom(netip.IPv4Unspecified(), at.Port())
		} else {
			_ = unix.Close(fd)
		}
	}
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	shared := n > 1
	if shared && at.Port() != 0 {
		// SO_REUSEPORT would let us share the port with an older process of
		// the same user. Without it the kernel tells.
		fd, _, err := bindSocket(at, false)
		if err != nil {
			return nil, at, err
		}
		_ = unix.Close(fd)
	}
	for range n {
		var fd int
		if fd, at, err = bindSocket(at, shared); err != nil {
			return fds, at, err
		}
		fds = append(fds, fd)
		if err = unix.Listen(fd, 1<<16-1); err != nil { // the kernel cuts it down to somaxconn
			return fds, at, os.NewSyscallError("listen", err)
		}
	}
	return fds, at, nil
}

// bindSocket opens a socket bound to at and tells where it is bound.
func bindSocket(at netip.AddrPort, shared bool) (fd int, bound netip.AddrPort, err error) {
	family := unix.AF_INET
	var sa unix.Sockaddr = &unix.SockaddrInet4{Port: int(at.Port())}
	if at.Addr().Is4() {
		sa.(*unix.SockaddrInet4).Addr = at.Addr().As4()
	} else {
		family = unix.AF_INET6
		sa6 := &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
		if z := at.Addr().Zone(); z != "" {
			ifi, err := net.InterfaceByName(z)
			if err != nil {
				return -1, at, err
			}
			sa6.ZoneId = uint32(ifi.Index)
		}
		sa = sa6
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, at, os.NewSyscallError("socket", err)
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd)
		}
	}()
	set := func(level, opt, v int) {
		if err == nil {
			err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, opt, v))
		}
	}
	set(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if shared {
		set(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}
	set(unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // accepted sockets inherit it
	if family == unix.AF_INET6 {
		set(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)
	}
	if err != nil {
		return -1, at, err
	}
	if err = unix.Bind(fd, sa); err != nil {
		return -1, at, os.NewSyscallError("bind", err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return -1, at, os.NewSyscallError("getsockname", err)
	}
	port := 0
	switch n := name.(type) {
	case *unix.SockaddrInet4:
		port = n.Port
	case *unix.SockaddrInet6:
		port = n.Port
	}
	return fd, netip.AddrPortFrom(at.Addr(), uint16(port)), nil
}

// addListener watches a listening socket, which is the loop's from now on.
func (l *Loop) addListener(fd, tag int) error {
	if l.leaving {
		return ErrShutdown
	}
	id := uint32(0)
	for _, ln := range l.listeners {
		id = max(id, ln.id+1)
	}
	ln := &listener{fd: int32(fd), id: id, tag: tag}
	if err := l.ctl(unix.EPOLL_CTL_ADD, ln.fd, unix.EPOLLIN, id, 0); err != nil {
		_ = unix.Close(fd)
		return err
	}
	l.listeners = append(l.listeners, ln)
	return nil
}

// closeListeners accepts what waits and closes.
func (l *Loop) closeListeners() {
	for _, ln := range l.listeners {
		if l.running && ln.mutedTo == 0 {
			for n := 0; n < acceptsAtEnd && l.acceptOne(ln); n++ {
			}
		}
		_ = unix.Close(int(ln.fd))
	}
	l.listeners, l.muted = nil, 0
}

func (l *Loop) acceptFrom(id uint32) {
	for _, ln := range l.listeners {
		if ln.id != id {
			continue
		}
		for range acceptsPerCycle {
			if !l.acceptOne(ln) {
				return
			}
		}
		return
	}
}

// acceptOne accepts a connection; false when none waits or none can be had.
func (l *Loop) acceptOne(ln *listener) bool {
	fd := accept(ln.fd, &l.from)
	if fd >= 0 {
		l.open(int32(fd), ln.tag)
		return true
	}
	switch e := unix.Errno(-fd); e {
	case unix.EAGAIN:
		return false
	case unix.EMFILE, unix.ENFILE:
		return l.refuse(ln)
	case unix.ENOMEM, unix.ENOBUFS:
		l.mute(ln)
		return false
	default:
		// The connection died before it was accepted, whatever the network
		// calls it; see accept(2). EBADF and its like are our own mistakes.
		if e == unix.EBADF || e == unix.EINVAL || e == unix.ENOTSOCK || e == unix.EFAULT {
			panic(fmt.Sprintf("netpoll: accept on loop %d: %v", l.index, e))
		}
		return true
	}
}

// refuse closes a waiting connection when descriptors have run out, with the
// one kept in reserve: left waiting, it would wake the loop for ever.
func (l *Loop) refuse(ln *listener) bool {
	if l.spare >= 0 {
		_ = unix.Close(l.spare)
		l.spare = -1
	}
	fd := accept(ln.fd, &l.from)
	if fd >= 0 {
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		_ = unix.Close(fd)
		l.n.refused++
	}
	if l.reserve() != nil || fd < 0 && fd != -int(unix.EAGAIN) {
		// Someone else was faster. Come back later rather than spin.
		l.mute(ln)
		return false
	}
	return fd >= 0
}

func (l *Loop) mute(ln *listener) {
	if ln.mutedTo != 0 {
		return
	}
	if err := l.ctl(unix.EPOLL_CTL_MOD, ln.fd, 0, ln.id, 0); err != nil {
		return
	}
	ln.mutedTo = l.now + int64(muteFor)
	l.muted++
	l.n.muted++
}

func (l *Loop) unmute() {
	for _, ln := range l.listeners {
		if ln.mutedTo == 0 || l.now < ln.mutedTo || l.reserve() != nil {
			continue
		}
		if err := l.ctl(unix.EPOLL_CTL_MOD, ln.fd, unix.EPOLLIN, ln.id, 0); err != nil {
			continue
		}
		ln.mutedTo = 0
		l.muted--
	}
}

// open puts an accepted socket on the loop.
func (l *Loop) open(fd int32, tag int) {
	slot, c := l.slab.take()
	c.fd = fd
	c.flags |= isArmedIn
	if err := l.ctl(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN, slot, c.gen); err != nil {
		_ = unix.Close(int(fd))
		l.slab.give(slot)
		l.n.refused++
		return
	}
	l.n.accepted++
	h := makeHandle(l.index, c.gen, slot)
	if l.tf != nil && l.tf.Open(h, tag) {
		c.flags |= isTransform
	}
	l.h.Open(h, tag, addrPort(&l.from))
	l.flushBatch()
	if l.leaving {
		l.CloseAfterFlush(h)
	}
}
