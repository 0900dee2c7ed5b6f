//go:build linux

package netpoll

import (
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// CloseAfterFlush closes in order: no more Read; what is queued goes out, then
// the write side is shut down, then what the peer still sends is thrown away
// until it closes its side: a close with unread bytes would be a reset, and
// that eats what we sent last. Config.Linger bounds all of it. Then comes
// Close. Unknown handles are ignored.
func (l *Loop) CloseAfterFlush(h Handle) {
	c := l.usable(h)
	if c == nil {
		return
	}
	if c.has(isTransform) {
		if p := l.tf.Final(h, l.cipher[:0]); len(p) > 0 {
			l.cipher = p[:0]
			if l.write(h, c, p) != nil {
				return // the connection failed, and Close is due
			}
		}
	}
	l.beginClose(h, c)
}

func (l *Loop) beginClose(h Handle, c *conn) {
	if l.batchFor == h {
		l.flushBatch()
	}
	if c.has(isEnding) {
		return
	}
	c.flags |= isClosing
	l.setTimer(h.Slot(), max(l.poll.cfg.Linger, time.Nanosecond))
	if l.stash.at(c).outLen == 0 {
		l.shutWrite(h, c)
	} else {
		l.arm(h, c)
	}
}

// shutWrite tells the peer that no more comes, and waits for the same.
func (l *Loop) shutWrite(h Handle, c *conn) {
	c.flags |= isShut
	if err := unix.Shutdown(int(c.fd), unix.SHUT_WR); err != nil {
		l.end(h, c, err)
		return
	}
	if c.has(isPeerDone) {
		l.end(h, c, nil)
		return
	}
	l.arm(h, c)
}

// drainBytes is the most that one drain throws away: whoever floods on after our
// goodbye has no more of a turn than others.
const drainBytes = 1 << 20

// drain throws away what comes on a closing connection.
func (l *Loop) drain(h Handle, c *conn) {
	n := discard(c.fd, drainBytes)
	switch {
	case n > 0 || n == -int(unix.EAGAIN):
	case n == 0 && c.has(isShut):
		l.end(h, c, nil)
	case n == 0:
		if c.has(isPeerDone) {
			l.end(h, c, sockErr(c.fd)) // both directions are done: nobody takes the rest
			return
		}
		c.flags |= isPeerDone
		l.arm(h, c)
	default:
		l.end(h, c, unix.Errno(-n))
	}
}

// peerDone handles the end of the peer's stream: what is queued still goes out.
func (l *Loop) peerDone(h Handle, c *conn) {
	c.flags |= isPeerDone
	if l.stash.at(c).outLen == 0 {
		l.end(h, c, io.EOF)
		return
	}
	c.flags |= isByPeer
	l.beginClose(h, c)
}

// Abort ends the connection with a reset; what is queued is dropped. Close
// follows once the current call to the handler has returned. Unknown handles
// are ignored.
func (l *Loop) Abort(h Handle) {
	if h.Loop() != l.index {
		return
	}
	c := l.slab.find(h.Generation(), h.Slot())
	if c == nil || c.has(isEnding|isDetached) {
		return
	}
	l.n.aborted++
	l.end(h, c, ErrAborted)
}

// end makes Close due.
func (l *Loop) end(h Handle, c *conn, err error) {
	if c.has(isEnding | isDetached) {
		return
	}
	if err == nil && c.has(isByPeer) {
		err = io.EOF
	}
	c.flags |= isEnding
	l.ends = append(l.ends, ending{h, err})
	if l.batchFor == h {
		l.batch, l.batchFor = l.batch[:0], 0
	}
}

// finish calls Close where it is due. Those calls may make others due.
func (l *Loop) finish() {
	for i := 0; i < len(l.ends); i++ {
		e := l.ends[i]
		l.h.Close(e.h, e.err)
		l.flushBatch()
		c := l.slab.at(e.h.Slot())
		if c.has(isTransform) {
			l.tf.Close(e.h)
		}
		if e.err == ErrAborted || e.err == ErrLinger {
			// A reset: the kernel need not keep what nobody will fetch.
			_ = unix.SetsockoptLinger(int(c.fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		}
		l.closing = append(l.closing, c.fd)
		l.n.closed++
		l.free(e.h, c)
	}
	clear(l.ends)
	l.ends = l.ends[:0]
}

// free gives back everything the connection has but its descriptor.
func (l *Loop) free(h Handle, c *conn) {
	l.wheel.off(h.Slot())
	if c.stash != 0 {
		if s := l.stash.at(c); s.in != 0 {
			l.cells.give(s.in)
			s.in, s.inLen = 0, 0
		}
		for l.stash.at(c).out != 0 {
			l.dropFirst(c)
		}
		l.stash.settle(c)
	}
	l.slab.give(h.Slot())
}

// closeSome closes a bounded number of descriptors: thousands at once would
// keep the thread, and a garbage collection waiting for it, in the kernel.
func (l *Loop) closeSome() {
	n := min(len(l.closing)-l.closedTo, closesPerCycle)
	for _, fd := range l.closing[l.closedTo : l.closedTo+n] {
		// Close on Linux frees the descriptor whatever it returns.
		_ = unix.Close(int(fd))
	}
	if l.closedTo += n; l.closedTo == len(l.closing) {
		l.closing, l.closedTo = l.closing[:0], 0
		if cap(l.closing) > closingKept {
			l.closing = nil
		}
	}
}

// Detach takes the connection off the loop without closing it; h is dead
// without a Close. take is called on a goroutine of its own, and the
// descriptor, non-blocking, is its from then on; err says instead that the
// connection was lost on its way out of the loop's own table. Detach is called
// within Read, where the bytes not consumed so far are the caller's too, or
// while none are kept. On an error nothing has happened: ErrHeld when bytes
// would be lost otherwise, ErrTransformed when they mean nothing without the
// Transform, tables.ErrBusy when it may work later.
func (l *Loop) Detach(h Handle, take func(fd int, err error)) error {
	c := l.usable(h)
	if c == nil {
		return ErrClosed
	}
	if c.has(isTransform) {
		return ErrTransformed
	}
	if l.batchFor == h {
		l.flushBatch()
	}
	if c.has(isEnding) {
		return ErrClosed
	}
	if s := l.stash.at(c); s.outLen > 0 || s.inLen > 0 && h != l.current {
		return ErrHeld
	}
	// Off the epoll set first: a copy that is on its way to another table
	// would keep it there.
	fd := int(c.fd)
	if err := l.ctl(unix.EPOLL_CTL_DEL, c.fd, 0, 0, 0); err != nil {
		l.end(h, c, err)
		return err
	}
	if l.thread == nil {
		go take(fd, nil)
	} else if err := l.thread.Pass(fd, take); err != nil {
		if aerr := l.ctl(unix.EPOLL_CTL_ADD, c.fd, armed(c.flags), h.Slot(), c.gen); aerr != nil {
			l.end(h, c, aerr)
		}
		return err
	}
	c.flags |= isDetached
	if h != l.current {
		l.leave(h, c)
	}
	return nil
}

// leave frees the slot of a detached connection.
func (l *Loop) leave(h Handle, c *conn) {
	l.n.detached++
	l.free(h, c)
	l.flushBatch()
}
