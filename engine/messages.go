//go:build linux

package engine

import (
	"unicode/utf8"

	"eyrie/engine/wire"

	"github.com/gobwas/ws"
)

// joinFrom is the payload size from which an unfinished frame is taken into a
// join instead of being left with netpoll until it is whole.
const joinFrom = 32 << 10

// turnFrames is how many frames and refused events a link may hand in before
// others have their turn: the smallest cost far more than their bytes.
const turnFrames = 2048

// yield has what is left of this turn's bytes shown again after the others'.
func (l *loop) yield(lk *link) {
	l.m.yields.Inc()
	l.io.Pause(lk.h)
	l.io.Resume(lk.h)
}

// readFrames consumes frames from b until it ends, a frame is unfinished, or
// the link is paused or gone. It returns the bytes consumed; the frame that a
// pause stopped at is not among them.
func (l *loop) readFrames(lk *link, b []byte) (n int) {
	var rsv byte
	if lk.agreed&agreedDeflate != 0 {
		rsv = rsv1
	}
	text, binary := lk.dataFrames()
	most := l.messageMax(lk)
	frames := 0
	for lk.state < linkGone && lk.flags&linkPaused == 0 {
		if len(l.out) > outHigh { // a flood of pings: see whether the peer reads
			l.flush(lk)
			continue
		}
		if frames++; frames+l.n.refused > turnFrames {
			l.yield(lk)
			return n
		}
		if lk.cold != 0 {
			if j := l.joins.at(lk.cold); j.whole {
				if !l.deliverJoin(lk) {
					return n
				}
				continue
			} else if j.rest > 0 {
				if n == len(b) {
					return n
				}
				n += l.fill(lk, j, b[n:])
				continue
			}
		}
		if lk.cold == 0 {
			if lk.agreed&agreedRing != 0 {
				used, took := l.publishRun(lk, b[n:], turnFrames-frames)
				n += used
				frames += took
			}
			if first, size, length := commonFrame(b[n:]); size > 0 && (first == text || first == binary) && length <= most {
				p := b[n+size : n+size+length]
				if mask := le.Uint32(b[n+size-4:]); mask != 0 {
					xor(p, mask, 0)
					le.PutUint32(b[n+size-4:], 0) // shown again, it is not masked again
				}
				if !l.deliver(lk, ws.OpCode(first&0x0f), p, size+length) {
					return n
				}
				n += size + length
				continue
			}
		}
		var hd header
		switch st, code := parseHeader(b[n:], rsv, &hd); st {
		case parsedMore:
			return n
		case parsedRefused:
			l.fail(lk, code, "not a frame that RFC 6455 allows a client")
			return len(b)
		}
		if code, why := l.judge(lk, &hd); code != 0 {
			l.fail(lk, code, why)
			return len(b)
		}
		if int64(len(b)-n-hd.size) < hd.length {
			// A socket's text is taken as it comes, so that what is no UTF-8 is
			// refused at the byte that shows it (RFC 6455, 8.1). An agent's short
			// frame stays where it is: it costs nothing there.
			asItComes := hd.op == ws.OpText && lk.state == linkSocket
			if hd.op.IsControl() || hd.length < joinFrom && lk.cold == 0 && !asItComes {
				return n
			}
			l.begin(lk, &hd)
			n += hd.size
			continue
		}
		frame := b[n : n+hd.size+int(hd.length)]
		switch {
		case hd.op.IsControl():
			l.control(lk, hd.op, unmask(frame, &hd))
		case hd.fin && lk.cold == 0 && !hd.packed:
			if !l.deliver(lk, hd.op, unmask(frame, &hd), len(frame)) {
				return n
			}
		default:
			l.begin(lk, &hd)
			n += hd.size
			continue
		}
		n += len(frame)
	}
	if lk.state == linkGone {
		return len(b)
	}
	return n
}

// dataFrames returns the first bytes of the unfragmented frames that the link
// may send; what it may not is no frame's first byte.
func (lk *link) dataFrames() (text, binary byte) {
	text, binary = 0x80|byte(ws.OpText), 0x80|byte(ws.OpBinary)
	switch {
	case lk.state == linkSocket:
	case lk.codec == wire.JSON:
		binary = 0
	default:
		text = 0
	}
	return text, binary
}

// judge holds a header against the link's state, before its payload is awaited.
func (l *loop) judge(lk *link, hd *header) (ws.StatusCode, string) {
	if hd.op.IsControl() {
		return 0, ""
	}
	most, had, packed := l.messageMax(lk), 0, hd.packed
	if lk.cold != 0 {
		if hd.op != ws.OpContinuation { // 5.4: fragments of two messages do not mix
			return ws.StatusProtocolError, "a new message inside a fragmented one"
		}
		j := l.joins.at(lk.cold)
		had, packed = len(j.buf), j.packed
	} else {
		switch {
		case hd.op == ws.OpContinuation:
			return ws.StatusProtocolError, "a continuation of nothing"
		case lk.state == linkSocket:
		case hd.op == ws.OpText && lk.codec != wire.JSON:
			return ws.StatusUnsupportedData, "text, but " + lk.codec.Subprotocol() + " was agreed"
		case hd.op == ws.OpBinary && lk.codec == wire.JSON:
			return ws.StatusUnsupportedData, "binary, but " + wire.SubprotocolJSON + " was agreed"
		}
	}
	if packed { // what does not shrink may grow a little; inflate holds it to most
		most += most/8 + 64
	}
	if hd.length > int64(most-had) {
		return ws.StatusMessageTooBig, "the message is larger than is accepted here"
	}
	return 0, ""
}

// messageMax is the most bytes that a message of lk may have.
func (l *loop) messageMax(lk *link) int {
	if lk.state == linkSocket {
		return l.srv.cfg.SocketMessage
	}
	return l.srv.cfg.MaxFrame
}

// begin takes up a data frame in parts.
func (l *loop) begin(lk *link, hd *header) {
	if lk.cold == 0 {
		lk.cold = l.joins.open(hd.op, hd.packed)
	}
	j := l.joins.at(lk.cold)
	j.rest, j.mask, j.at, j.fin = hd.length, hd.mask, 0, hd.fin
	if j.rest == 0 {
		l.endFrame(lk, j)
	}
}

// fill takes what b has of the current frame's payload.
func (l *loop) fill(lk *link, j *join, b []byte) int {
	take := int(min(j.rest, int64(len(b))))
	if !l.joins.grow(&j.buf, take) {
		l.fail(lk, statusTryAgain, "too many large messages at once")
		return take
	}
	from := len(j.buf)
	j.buf = append(j.buf, b[:take]...)
	xor(j.buf[from:], j.mask, j.at)
	j.at += take
	j.rest -= int64(take)
	l.endFrame(lk, j)
	return take
}

// endFrame checks what has arrived and notes whether the message is whole.
func (l *loop) endFrame(lk *link, j *join) {
	if j.op == ws.OpText && !j.packed && !j.text(j.buf, j.fin && j.rest == 0) { // 8.1
		l.fail(lk, ws.StatusInvalidFramePayloadData, "not UTF-8")
		return
	}
	j.whole = j.fin && j.rest == 0
}

// deliverJoin delivers the message that has become whole; false as for deliver.
func (l *loop) deliverJoin(lk *link) bool {
	ref := lk.cold
	j := l.joins.at(ref)
	if j.packed && !l.inflate(lk, j) {
		return lk.state == linkGone
	}
	if !l.deliverChecked(lk, j.op, j.buf, len(j.buf)) {
		return false
	}
	if lk.cold == ref { // else the delivery ended the link and has dropped it
		lk.cold = 0
		l.joins.drop(ref)
	}
	return true
}

// inflateTurn is how many bytes a link may have inflated, or cost in work of
// that size, before others have their turn; inflateCycle is what a loop does for
// all that wait for further turns.
const (
	inflateTurn  = 32 << 10
	inflateCycle = 256 << 10
)

// inflate goes on with a whole compressed message; true when it is plain. Else
// the link has failed, or is paused for its next turn.
func (l *loop) inflate(lk *link, j *join) bool {
	if j.z == nil && !l.joins.pack(j) {
		l.fail(lk, statusTryAgain, "too many large messages at once")
		return false
	}
	most := l.messageMax(lk)
	for {
		out, why := j.z.step(j.plain[:len(j.plain):min(cap(j.plain), most)], &l.inflateLeft)
		j.plain = j.plain[:len(out)]
		if j.op == ws.OpText && !j.text(j.plain, why == inflatedWhole) {
			l.fail(lk, ws.StatusInvalidFramePayloadData, "not UTF-8")
			return false
		}
		switch why {
		case inflatedWhole:
			l.m.inflateIn.Add(len(j.buf) - len(inflateTail))
			l.m.inflateOut.Add(len(j.plain))
			l.joins.unpack(j)
			return true
		case inflatedSpent:
			l.pause(lk, linkInflate)
			l.inflating = append(l.inflating, lk.h)
			l.io.Wake()
			return false
		case inflatedBad:
			l.fail(lk, ws.StatusInvalidFramePayloadData, "not DEFLATE")
			return false
		}
		// inflatedFull: there is more, so most is the end of it. Room is made in
		// proportion to what has come in, never to what may come.
		switch n := len(j.plain); {
		case n >= most:
			l.fail(lk, ws.StatusMessageTooBig, "the message is larger than is accepted here")
			return false
		case !l.joins.grow(&j.plain, min(max(n, 2*len(j.buf)), most-n)):
			l.fail(lk, statusTryAgain, "too many large messages at once")
			return false
		}
	}
}

// inflateOn gives the messages that are being inflated their turns.
func (l *loop) inflateOn() {
	left := inflateCycle
	for n := len(l.inflating); n > 0 && left > 0; n-- {
		lk := l.links.at(l.inflating[0])
		if l.inflating = l.inflating[1:]; lk != nil && lk.state != linkGone {
			l.inflateLeft = inflateTurn
			l.resume(lk, linkInflate)
			left -= inflateTurn - l.inflateLeft
		}
	}
	if len(l.inflating) > 0 {
		l.io.Wake()
	} else {
		l.inflating = nil
	}
}

// deliver hands over a message that came in one piece of size bytes. False
// means that the ring has no room: the link is paused and p must be shown again.
func (l *loop) deliver(lk *link, op ws.OpCode, p []byte, size int) bool {
	if op == ws.OpText && !utf8.Valid(p) {
		l.fail(lk, ws.StatusInvalidFramePayloadData, "not UTF-8")
		return true
	}
	return l.deliverChecked(lk, op, p, size)
}

// socket is the generic socket of a link; nil while it is being refused.
func (l *loop) socket(lk *link) *socket {
	if l.hand == nil || l.hand.h != lk.h {
		l.hand = l.socks[lk.h]
	}
	return l.hand
}

func (l *loop) deliverChecked(lk *link, op ws.OpCode, p []byte, size int) bool {
	if lk.state == linkSocket {
		if lk.agreed&agreedRing != 0 {
			if !l.publish(lk, op, p) {
				l.wait(lk, size)
				return false
			}
			l.n.messages++
			return true
		}
		l.n.messages++
		if s := l.socket(lk); s != nil && !s.closed.Load() {
			s.handler.Message(Socket{s}, op, p)
		}
		return true
	}
	if l.agentMessage(lk, p) {
		return true
	}
	l.wait(lk, size)
	return false
}

// pingsMax is how many pings of one turn are answered each; of those behind
// them only the last is (5.5.3).
const pingsMax = 64

// lastPong answers the last ping of a flood, and ends the turn's count.
func (l *loop) lastPong(lk *link) {
	if l.pings > pingsMax && lk.state != linkGone {
		l.out = appendFrame(l.out, ws.OpPong, l.pong)
	}
	l.pings = 0
}

// control answers pings and closes (5.5).
func (l *loop) control(lk *link, op ws.OpCode, p []byte) {
	switch op {
	case ws.OpPing:
		if l.pings++; l.pings > pingsMax {
			l.pong = append(l.pong[:0], p...)
			return
		}
		l.out = appendFrame(l.out, ws.OpPong, p)
	case ws.OpClose:
		answer, got, reason := closeCode(p)
		switch {
		case len(p) == 0:
			l.out = appendHeader(l.out, ws.OpClose, 0)
		case answer != got:
			l.m.close(answer)
			l.out = appendClose(l.out, answer, "a close frame that RFC 6455 does not allow")
		default:
			l.out = appendClose(l.out, answer, "")
		}
		l.goAway(lk, got, string(reason))
	}
}

// statusTryAgain is 1013 of the IANA registry, which gobwas/ws does not name.
const statusTryAgain = ws.StatusCode(1013)
