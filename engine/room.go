//go:build linux

package engine

import (
	"slices"
	"time"

	"eyrie/netpoll"

	"github.com/gobwas/ws"
)

// fullRetry is how long the first link of a full ring waits for Freed before
// it looks for itself.
const fullRetry = 100 * time.Millisecond

// waiter is a link that waits for room.
type waiter struct {
	h    netpoll.Handle
	need int // bytes of the message that found the ring full
}

// goodbye is an ItemClosed that waits for room.
type goodbye struct {
	h      netpoll.Handle
	code   ws.StatusCode
	reason string
}

// wait pauses a link until the ring has room for size bytes more. Who was let
// go on and failed again stays first.
func (l *loop) wait(lk *link, size int) {
	l.m.ringFull.Inc()
	l.pause(lk, linkFull)
	if lk.flags&linkTurn != 0 {
		lk.flags &^= linkTurn
		l.full = slices.Insert(l.full, 0, waiter{lk.h, size})
	} else {
		l.full = append(l.full, waiter{lk.h, size})
	}
	if l.full[0].h == lk.h {
		l.io.SetTimer(lk.h, fullRetry)
	}
}

// retry goes on with what waits for room, oldest first, as far as the room
// looks sufficient.
func (l *loop) retry() {
	for len(l.goodbye) > 0 {
		if !l.putClosed(&l.goodbye[0]) {
			return
		}
		l.goodbye[0] = goodbye{}
		l.goodbye = l.goodbye[1:]
	}
	l.goodbye = nil
	room := l.ring.Size() - l.ring.Headroom() - l.ring.Used()
	for first := true; len(l.full) > 0; first = false {
		lk := l.links.at(l.full[0].h)
		if lk == nil || lk.flags&linkFull == 0 || lk.state == linkGone {
			l.full = l.full[1:]
			continue
		}
		need := l.full[0].need
		if !first && room < need {
			l.io.SetTimer(lk.h, fullRetry)
			return
		}
		room -= need
		l.full = l.full[1:]
		l.again(lk)
		if lk.flags&linkFull != 0 {
			return
		}
	}
	l.full = nil
	l.waiting.Store(false)
}

// again lets one link try once more, ahead of those that came later.
func (l *loop) again(lk *link) {
	lk.flags |= linkTurn
	l.io.SetTimer(lk.h, l.srv.cfg.Ping)
	l.resume(lk, linkFull)
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
