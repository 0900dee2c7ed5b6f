//go:build linux

package netpoll

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// keptMax is the most kept bytes that are copied in front of the next read.
// Longer ones are read behind in their own cell, so that a slow sender of
// something long does not cost a copy of it per packet.
const keptMax = 16 << 10

// Pause stops reading from the connection. Bytes Read did not consume are
// kept. That the peer closed its side shows only after Resume; a reset ends
// the connection at once. Unknown handles are ignored.
func (l *Loop) Pause(h Handle) {
	if c := l.usable(h); c != nil && !c.has(isPaused) {
		c.flags |= isPaused
		if h != l.current {
			l.arm(h, c)
		}
	}
}

// Resume goes on reading. If bytes are kept, Read is called with them, in this
// cycle or the next, whether or not more have come.
func (l *Loop) Resume(h Handle) {
	if c := l.usable(h); c != nil && c.has(isPaused) {
		c.flags &^= isPaused
		l.readLater(h, c)
	}
}

// HoldReads stops reading from every socket of the loop, at no cost for those
// that are silent: a readable one is set aside when it is met. Released, they
// are read in the order they were met. It is for the case that nothing that
// could be read has a place to go.
func (l *Loop) HoldReads(on bool) {
	if l.hold == on {
		return
	}
	if l.hold = on; on {
		return
	}
	for _, h := range l.set {
		if c := l.usable(h); c != nil && c.has(isHeld) {
			c.flags &^= isHeld
			l.readLater(h, c)
		}
	}
	l.set = l.set[:0]
}

// readLater has the connection read without waiting for an event.
func (l *Loop) readLater(h Handle, c *conn) {
	if !c.has(isAgain | isPaused | isHeld) {
		c.flags |= isAgain
		l.again = append(l.again, h)
	}
}

func (l *Loop) readAgain() {
	todo := l.again
	l.again = l.spent[:0]
	for _, h := range todo {
		c := l.usable(h)
		if c == nil {
			continue
		}
		c.flags &^= isAgain
		switch {
		case c.has(isPaused):
		case l.hold:
			l.setAside(h, c)
		case l.stash.at(c).inLen > 0:
			s := l.stash.at(c)
			l.deliver(h, c, l.cells.at(s.in)[:s.inLen], true)
			continue
		default:
			l.read(h, c)
		}
		if c := l.usable(h); c != nil { // it may have been detached meanwhile
			l.arm(h, c)
		}
	}
	l.spent = todo[:0]
}

func (l *Loop) setAside(h Handle, c *conn) {
	c.flags |= isHeld
	l.set = append(l.set, h)
	l.arm(h, c)
}

// read takes what one recv gives and shows it to the handler.
func (l *Loop) read(h Handle, c *conn) {
	if l.hold {
		l.setAside(h, c)
		return
	}
	if c.has(isTransform) {
		l.readTransformed(h, c)
		return
	}
	s := l.stash.at(c)
	kept := int(s.inLen)
	inCell := kept > keptMax
	var b []byte
	switch {
	case kept == 0:
		b = l.buf[:l.share.most]
	case !inCell:
		b = l.buf[:kept+l.share.most]
		copy(b, l.cells.at(s.in)[:kept])
	default:
		b = l.roomBehind(c)
	}
	n := recv(c.fd, b[kept:])
	if n <= 0 {
		l.readFailed(h, c, n)
		return
	}
	l.n.reads++
	l.n.readBytes += uint64(n)
	if inCell {
		l.stash.at(c).inLen = uint32(kept + n)
	}
	l.deliver(h, c, b[:kept+n], inCell)
}

// roomBehind is the cell of the kept bytes with room for about as many more.
func (l *Loop) roomBehind(c *conn) []byte {
	kept := int(l.stash.at(c).inLen)
	if cell := l.cells.at(l.stash.at(c).in); len(cell)-kept < max(kept/2, keptMax) {
		l.keepAnew(c, cell[:kept], kept+max(kept, 3*keptMax))
	}
	cell := l.cells.at(l.stash.at(c).in)
	return cell[:min(len(cell), kept+l.poll.cfg.ReadBuffer)]
}

// keepAnew moves b, which may lie in the connection's cell, to a new cell of
// at least room bytes.
func (l *Loop) keepAnew(c *conn, b []byte, room int) {
	s := l.stash.own(c)
	old := s.in
	s.in = l.cells.take(room)
	s.inLen = uint32(copy(l.cells.at(s.in), b))
	if old != 0 {
		l.cells.give(old)
	}
}

func (l *Loop) readTransformed(h Handle, c *conn) {
	n := recv(c.fd, l.buf[:l.poll.cfg.ReadBuffer])
	if n <= 0 {
		l.readFailed(h, c, n)
		return
	}
	l.n.reads++
	l.n.readBytes += uint64(n)
	s := l.stash.at(c)
	kept := int(s.inLen)
	l.plain = l.plain[:0]
	if kept > 0 {
		l.plain = append(l.plain, l.cells.at(s.in)[:kept]...)
	}
	plain, reply, err := l.tf.In(h, l.plain, l.buf[:n])
	l.plain = plain
	if len(reply) > 0 {
		if werr := l.write(h, c, reply); err == nil {
			err = werr
		}
	}
	if err != nil {
		l.flushBatch()
		l.end(h, c, err)
		return
	}
	if len(plain) > kept {
		l.deliver(h, c, plain, false)
	} else {
		l.flushBatch()
	}
	if cap(l.plain) > 4*len(l.buf) {
		l.plain = nil
	}
}

// readFailed handles the end of a stream and errors; n is 0 or −errno.
func (l *Loop) readFailed(h Handle, c *conn, n int) {
	switch {
	case n == 0:
		l.peerDone(h, c)
	case n == -int(unix.EAGAIN):
	default:
		l.end(h, c, unix.Errno(-n))
	}
}

// deliver shows b to the handler and keeps what it does not consume. inCell
// tells that b lies in the connection's own cell.
func (l *Loop) deliver(h Handle, c *conn, b []byte, inCell bool) {
	l.current = h
	used := l.h.Read(h, b)
	l.current = 0
	if used < 0 || used > len(b) {
		panic(fmt.Sprintf("netpoll: handler consumed %d of %d bytes", used, len(b)))
	}
	if c.has(isDetached) {
		l.leave(h, c)
		return
	}
	if !c.has(isEnding | isClosing) {
		l.keep(c, b, used, inCell)
	}
	l.flushBatch()
	if c.has(isEnding | isClosing) {
		return
	}
	if int(l.stash.at(c).inLen) > l.poll.cfg.ReadMax {
		l.end(h, c, ErrReadFull)
		return
	}
	l.arm(h, c)
}

func (l *Loop) keep(c *conn, b []byte, used int, inCell bool) {
	rest := b[used:]
	s := l.stash.at(c)
	switch {
	case len(rest) == 0:
		if s.in != 0 {
			l.cells.give(s.in)
			s.in, s.inLen = 0, 0
			l.stash.settle(c)
		}
	case inCell && used == 0:
	case s.in != 0 && classOf(len(rest)) == classOf(len(l.cells.at(s.in))):
		s.inLen = uint32(copy(l.cells.at(s.in), rest))
	default:
		l.keepAnew(c, rest, len(rest))
	}
}
