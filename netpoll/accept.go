//go:build linux

package netpoll

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"

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
	at, err := p.listenAt(addr, tag)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("netpoll: listen on %s: %w", addr, err)
	}
	return at, nil
}

// listenAt opens a socket on every loop, the first of which decides the port,
// and then watches them all.
func (p *Poll) listenAt(addr string, tag int) (netip.AddrPort, error) {
	b, err := resolve(addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	b.shared = len(p.loops) > 1
	if b.shared && b.at.Port() != 0 {
		// SO_REUSEPORT would let us share the port with an older process of
		// the same user. Without it the kernel tells.
		fd, _, err := b.alone().socket()
		if err != nil {
			return netip.AddrPort{}, err
		}
		_ = unix.Close(fd)
	}
	fds := make([]int, 0, len(p.loops))
	for _, l := range p.loops {
		fd, err := -1, error(ErrShutdown) // unless the loop says otherwise
		p.onLoop(l, func() {
			if fd, b.at, err = b.socket(); err != nil {
				return
			}
			// The kernel cuts the queue down to somaxconn.
			if err = os.NewSyscallError("listen", unix.Listen(fd, 1<<16-1)); err != nil {
				_ = unix.Close(fd)
			}
		})
		if err != nil {
			for i, fd := range fds {
				p.onLoop(p.loops[i], func() { _ = unix.Close(fd) })
			}
			return netip.AddrPort{}, err
		}
		fds = append(fds, fd)
	}
	failed := make([]error, len(p.loops))
	var all sync.WaitGroup
	for i, l := range p.loops {
		all.Go(func() {
			failed[i] = ErrShutdown
			if !p.onLoop(l, func() { failed[i] = l.addListener(fds[i], tag) }) && l.thread == nil {
				_ = unix.Close(fds[i]) // else it went with the thread
			}
		})
	}
	all.Wait()
	return b.at, errors.Join(failed...)
}

// binding is an address to listen on.
type binding struct {
	at     netip.AddrPort
	zone   uint32
	shared bool // with the other loops
}

// resolve reads "host:port".
func resolve(addr string) (b binding, err error) {
	ta, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return b, err
	}
	at := ta.AddrPort()
	if ta.IP == nil { // every address of the host, both families if it has both
		at = netip.AddrPortFrom(netip.IPv6Unspecified(), at.Port())
		if fd, e := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); e != nil {
			at = netip.AddrPortFrom(netip.IPv4Unspecified(), at.Port())
		} else {
			_ = unix.Close(fd)
		}
	}
	b.at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	if z := b.at.Addr().Zone(); z != "" {
		ifi, err := net.InterfaceByName(z)
		if err != nil {
			return b, err
		}
		b.zone = uint32(ifi.Index)
	}
	return b, nil
}

func (b binding) alone() binding {
	b.shared = false
	return b
}

// socket opens a socket bound to b and tells where it is bound. It uses nothing
// but raw descriptors: a loop may have a table of its own.
func (b binding) socket() (fd int, bound netip.AddrPort, err error) {
	at := b.at
	family := unix.AF_INET
	var sa unix.Sockaddr
	if at.Addr().Is4() {
		sa = &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	} else {
		family = unix.AF_INET6
		sa = &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16(), ZoneId: b.zone}
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, at, os.NewSyscallError("socket", err)
	}
	if bound, err = b.bind(fd, family, sa); err != nil {
		_ = unix.Close(fd)
		return -1, at, err
	}
	return fd, bound, nil
}

func (b binding) bind(fd, family int, sa unix.Sockaddr) (bound netip.AddrPort, err error) {
	set := func(level, opt, v int) {
		if err == nil {
			err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, opt, v))
		}
	}
	set(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if b.shared {
		set(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}
	set(unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // accepted sockets inherit it
	if family == unix.AF_INET6 {
		set(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)
	}
	if err != nil {
		return bound, err
	}
	if err = unix.Bind(fd, sa); err != nil {
		return bound, os.NewSyscallError("bind", err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return bound, os.NewSyscallError("getsockname", err)
	}
	port := 0
	switch n := name.(type) {
	case *unix.SockaddrInet4:
		port = n.Port
	case *unix.SockaddrInet6:
		port = n.Port
	}
	return netip.AddrPortFrom(b.at.Addr(), uint16(port)), nil
}

// addListener watches a listening socket, which is the loop's from now on.
func (l *Loop) addListener(fd, tag int) error {
	if l.leaving {
		_ = unix.Close(fd)
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
		if len(l.closing) > 0 { // a crowd comes back: those it left make room
			l.closeSome()
			return true
		}
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
