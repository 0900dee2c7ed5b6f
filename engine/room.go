//go:build linux

package engine

import (
	"slices"
	"time"

	"eyrie/engine/admit"
	"eyrie/netpoll"

	"github.com/gobwas/ws"
)

// fullRetry is how long the first link of a full ring waits for Freed before
// it looks for itself.
const fullRetry = 100 * time.Millisecond

// waiter is a link that waits for room.
type waiter struct {
	h      netpoll.Handle
	need   int  // bytes of the message that found the ring full
	urgent bool // it carries a CRITICAL event
}

// goodbye is an ItemClosed that waits for room.
type goodbye struct {
	h      netpoll.Handle
	code   ws.StatusCode
	reason string
}

// wait pauses a link until the ring has room for size bytes more. Who has a
// CRITICAL event to tell goes before the others, and who was let go on and
// failed again stays first.
func (l *loop) wait(lk *link, size int) {
	l.m.ringFull.Inc()
	l.pause(lk, linkFull)
	at := len(l.full)
	if l.urgent || lk.flags&linkTurn != 0 {
		for at = 0; at < len(l.full) && l.full[at].urgent && (!l.urgent || lk.flags&linkTurn == 0); at++ {
		}
	}
	lk.flags &^= linkTurn
	l.full = slices.Insert(l.full, at, waiter{lk.h, size, l.urgent})
	if at == 0 {
		l.io.SetTimer(lk.h, fullRetry)
	}
}

// retry goes on with what waits for room: goodbyes and what is CRITICAL as soon
// as it fits, the others once the ring is below its low watermark and as far as
// the room up to the high one looks sufficient.
func (l *loop) retry() {
	for len(l.goodbye) > 0 {
		if !l.putClosed(&l.goodbye[0]) {
			return
		}
		l.goodbye[0] = goodbye{}
		l.goodbye = l.goodbye[1:]
	}
	l.goodbye = nil
	l.observe()
	for first := true; len(l.full) > 0; first = false {
		w := l.full[0]
		lk := l.links.at(w.h)
		if lk == nil || lk.flags&linkFull == 0 || lk.state == linkGone {
			l.full = l.full[1:]
			continue
		}
		used := l.ring.Used()
		if full := l.gauge.Level(used) == admit.Full; !w.urgent && (full || !first && l.gauge.High()-used < w.need) {
			l.io.SetTimer(lk.h, fullRetry)
			return
		}
		l.full = l.full[1:]
		l.again(lk)
		if lk.flags&linkFull != 0 {
			return
		}
	}
	l.full = nil
	if len(l.goodbye) == 0 { // else one of those just let go has left
		l.waiting.Store(false)
	}
}

// again lets one link try once more, ahead of those that came later.
func (l *loop) again(lk *link) {
	lk.flags |= linkTurn
	l.io.SetTimer(lk.h, l.srv.cfg.Ping)
	l.resume(lk, linkFull)
}

// publish puts a message of a socket that is toRing into the ring. False means
// that there is no room: nothing has happened.
func (l *loop) publish(lk *link, op ws.OpCode, p []byte) bool {
	if len(p) > l.ring.Largest(false)-itemHead {
		l.fail(lk, ws.StatusMessageTooBig, "the message does not fit the server's ring")
		return true
	}
	if lk.flags&linkTurn == 0 && len(l.full) > 0 {
		return false // others have waited longer
	}
	rec, ok := l.ring.Reserve(itemHead+len(p), false)
	if !ok && !l.waiting.Load() {
		// From here on Freed wakes us. What was freed before is seen now.
		l.waiting.Store(true)
		rec, ok = l.ring.Reserve(itemHead+len(p), false)
	}
	if !ok {
		return false
	}
	lk.flags &^= linkTurn
	copy(putItem(rec, ItemMessage, lk.h, uint64(op), nil), p)
	l.reserved = true
	return true
}

// publishRun is publish for as many messages as b begins with that are common
// frames with binary content, at most frames of them. Each is unmasked on its
// way into the ring. What it stops at is for readFrames.
func (l *loop) publishRun(lk *link, b []byte, frames int) (n, took int) {
	if len(l.full) > 0 {
		return 0, 0
	}
	r, h := l.ring, uint64(lk.h)
	for ; took < frames; took++ {
		first, size, length := commonFrame(b[n:])
		if size == 0 || first != 0x80|byte(ws.OpBinary) {
			break
		}
		rec, ok := r.Reserve(itemHead+length, false)
		if !ok {
			break
		}
		frame := b[n : n+size+length]
		putMessage(rec, h, uint64(ws.OpBinary))
		xorTo(rec[itemHead:], frame[size:], le.Uint32(frame[size-4:]))
		n += len(frame)
	}
	if took > 0 {
		l.reserved = true
		l.n.messages += took
	}
	return n, took
}

// show publishes what publish has put into the ring: at the end of a turn, and
// before anything that could abort it.
func (l *loop) show() {
	if l.reserved {
		l.reserved = false
		l.ring.Publish()
		l.fresh = true
	}
}

// bye publishes the link's last item, now or as soon as there is room.
func (l *loop) bye(h netpoll.Handle, code ws.StatusCode, reason string) {
	g := goodbye{h, code, reason}
	if len(l.goodbye) == 0 {
		if l.putClosed(&g) {
			return
		}
		l.waiting.Store(true) // before the second look: Freed reads it after the release
		if l.putClosed(&g) {
			return
		}
	}
	l.goodbye = append(l.goodbye, g)
}

func (l *loop) putClosed(g *goodbye) bool {
	l.show()
	reason := g.reason[:min(len(g.reason), closeReasonMax)]
	rec, ok := l.ring.Reserve(itemHead+len(reason), true)
	if !ok {
		return false
	}
	copy(putItem(rec, ItemClosed, g.h, uint64(g.code), nil), reason)
	l.ring.Publish()
	l.fresh = true
	return true
}
