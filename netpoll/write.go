//go:build linux

package netpoll

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Bytes the kernel does not take wait in a chain of cells:
//
//	┌──────────────┬──────────────┬───────────┐
//	│ next ref u32 │ length u32   │ bytes     │
//	└──────────────┴──────────────┴───────────┘
const (
	linkBytes    = 8
	queueCellMin = 512
	queueCellMax = 64 << 10
	// queueCellGrow is by how much a cell is larger than the one before it.
	queueCellGrow = 8
	// flushMax bounds what one EPOLLOUT sends before others have their turn.
	flushMax = 1 << 20
	// directFrom is the size from which a write is not put off to be sent with
	// others: by then a copy costs more than the call it could save.
	directFrom = 2 << 10
)

// Write sends p, or copies what cannot go out now. Small writes of one call to
// the handler that follow each other to the same connection go out together when
// the call returns. ErrWriteFull when Config.WriteMax would be exceeded,
// ErrClosed when h is gone or closing: nothing of p is taken then. Through a
// Transform the bound is judged before it, so that it may be exceeded by what
// the stage adds.
func (l *Loop) Write(h Handle, p []byte) error {
	c := l.usable(h)
	if c == nil {
		return ErrClosed
	}
	if !l.roomFor(h, c, len(p)) {
		if c.has(isEnding) {
			return ErrClosed
		}
		l.n.full++
		return ErrWriteFull
	}
	if c.has(isTransform) {
		out, err := l.tf.Out(h, l.cipher[:0], p)
		l.cipher = out[:0]
		if err != nil {
			l.end(h, c, err)
			return ErrClosed
		}
		p = out
	}
	return l.write(h, c, p)
}

func (l *Loop) roomFor(h Handle, c *conn, n int) bool {
	if n > l.poll.cfg.WriteMax {
		return false
	}
	if l.queued(h, c)+n <= l.poll.cfg.WriteMax {
		return true
	}
	if l.batchFor == h {
		l.flushBatch()
	}
	return !c.has(isEnding) && int(l.stash.at(c).outLen)+n <= l.poll.cfg.WriteMax
}

// Queued is the number of bytes that wait to be sent, 0 for unknown handles.
func (l *Loop) Queued(h Handle) int {
	if c := l.usable(h); c != nil {
		return l.queued(h, c)
	}
	return 0
}

func (l *Loop) queued(h Handle, c *conn) int {
	n := int(l.stash.at(c).outLen)
	if l.batchFor == h {
		n += len(l.batch)
	}
	return n
}

// write takes p whatever the bound: batch it, send it, or queue it.
func (l *Loop) write(h Handle, c *conn, p []byte) error {
	if l.stash.at(c).outLen > 0 {
		l.enqueue(c, p)
		return nil
	}
	if l.batchFor != h || len(l.batch) == 0 && len(p) >= directFrom || len(l.batch)+len(p) > cap(l.batch) {
		l.flushBatch()
		switch {
		case c.has(isEnding):
			return ErrClosed
		case l.stash.at(c).outLen > 0:
			l.enqueue(c, p)
			return nil
		case len(p) >= directFrom || len(p) > cap(l.batch):
			l.transmit(h, c, p)
			return nil
		}
		l.batchFor = h
	}
	l.batch = append(l.batch, p...)
	return nil
}

// flushBatch sends the batch, if there is one.
func (l *Loop) flushBatch() {
	h := l.batchFor
	if h == 0 {
		return
	}
	p := l.batch
	l.batch, l.batchFor = p[:0], 0
	if c := l.slab.find(h.Generation(), h.Slot()); c != nil && !c.has(isEnding) && len(p) > 0 {
		l.transmit(h, c, p)
	}
}

// transmit sends p on a connection whose queue is empty and queues the rest.
func (l *Loop) transmit(h Handle, c *conn, p []byte) {
	n := send(c.fd, p)
	l.n.sends++
	if n < 0 {
		if n != -int(unix.EAGAIN) {
			l.end(h, c, unix.Errno(-n))
			return
		}
		n = 0
	}
	l.n.sendBytes += uint64(n)
	if n < len(p) {
		l.n.blocked++
		l.enqueue(c, p[n:])
		l.arm(h, c)
	}
}

// enqueue copies p behind what waits already.
func (l *Loop) enqueue(c *conn, p []byte) {
	s := l.stash.own(c)
	s.outLen += uint32(len(p))
	if s.outLast != 0 {
		p = fillCell(l.cells.at(s.outLast), p)
	}
	for len(p) > 0 {
		size := max(len(p)+linkBytes, queueCellMin)
		if s.outLast != 0 { // who is behind will be further behind
			size = max(size, queueCellGrow*len(l.cells.at(s.outLast)))
		}
		r := l.cells.take(min(size, queueCellMax))
		cell := l.cells.at(r)
		binary.NativeEndian.PutUint64(cell, 0)
		if s.outLast != 0 {
			binary.NativeEndian.PutUint32(l.cells.at(s.outLast), uint32(r))
		} else {
			s.out = r
		}
		s.outLast = r
		p = fillCell(cell, p)
	}
}

// fillCell appends to a queue cell what fits and returns the rest.
func fillCell(cell, p []byte) []byte {
	have := binary.NativeEndian.Uint32(cell[4:])
	n := copy(cell[linkBytes+have:], p)
	binary.NativeEndian.PutUint32(cell[4:], have+uint32(n))
	return p[n:]
}

// flush sends what waits, when the kernel takes more.
func (l *Loop) flush(h Handle, c *conn) {
	if l.stash.at(c).outLen == 0 {
		return
	}
	for sent := 0; l.stash.at(c).outLen > 0 && sent < flushMax; {
		n := sendmsg(c.fd, l.gather(c))
		l.n.sends++
		clear(l.iov[:])
		if n == -int(unix.EAGAIN) {
			return
		}
		if n < 0 {
			l.end(h, c, unix.Errno(-n))
			return
		}
		l.n.sendBytes += uint64(n)
		sent += n
		l.sent(c, uint32(n))
	}
	if l.stash.at(c).outLen > 0 {
		return
	}
	if c.has(isClosing) {
		l.shutWrite(h, c)
		return
	}
	l.h.Drained(h)
	l.flushBatch()
	if c := l.usable(h); c != nil { // it may have been detached meanwhile
		l.arm(h, c)
	}
}

// gather points the message at the first cells of the queue.
func (l *Loop) gather(c *conn) *unix.Msghdr {
	s := l.stash.at(c)
	n, off := 0, s.outOff
	for r := s.out; r != 0 && n < len(l.iov); n++ {
		cell := l.cells.at(r)
		used := binary.NativeEndian.Uint32(cell[4:])
		l.iov[n].Base = &cell[linkBytes+off]
		l.iov[n].SetLen(int(used - off))
		r, off = ref(binary.NativeEndian.Uint32(cell)), 0
	}
	l.msg.Iov = &l.iov[0]
	l.msg.SetIovlen(n)
	return &l.msg
}

// sent drops the first n bytes of the queue.
func (l *Loop) sent(c *conn, n uint32) {
	s := l.stash.at(c)
	s.outLen -= n
	for n > 0 {
		cell := l.cells.at(s.out)
		left := binary.NativeEndian.Uint32(cell[4:]) - s.outOff
		if n < left {
			s.outOff += n
			return
		}
		n -= left
		l.dropFirst(c)
	}
	l.stash.settle(c)
}

func (l *Loop) dropFirst(c *conn) {
	s := l.stash.at(c)
	r := s.out
	s.out, s.outOff = ref(binary.NativeEndian.Uint32(l.cells.at(r))), 0
	if s.out == 0 {
		s.outLast = 0
	}
	l.cells.give(r)
}
