//go:build linux

package engine

import (
	"strconv"
	"time"

	"eyrie/engine/admit"
	"eyrie/engine/wire"
	"eyrie/netpoll"

	"github.com/gobwas/ws"
)

// flow is what admission knows of a link that has sent while rates are in
// force. A link without one owes nothing, so an idle link costs nothing. The
// buckets are the link's; the rate of the first is that of one agent times the
// agents it speaks for, as far as they can be told apart.
type flow struct {
	all      admit.Bucket // but CRITICAL events
	critical admit.Bucket
	crowd    admit.Crowd // agents seen
	told     float64     // the rate it was told last; 0 = none
	toldAt   int64
	until    int64 // it is not read before; 0 = it is
}

const (
	// toldEvery is how often a link is told a new rate at most.
	toldEvery = int64(time.Second)
	// toldChange is by how much a rate differs from the one told to be told anew.
	toldChange = 1.25
	// quietFor is how long a link that was told a rate owes nothing until that is
	// taken back.
	quietFor = int64(5 * time.Second)
)

// flowOf is the link's flow, made if there is none.
func (l *loop) flowOf(lk *link) *flow {
	fl := l.flows[lk.h]
	if fl == nil {
		if l.flows == nil {
			l.flows = make(map[netpoll.Handle]*flow)
		}
		fl = new(flow)
		l.flows[lk.h] = fl
	}
	return fl
}

// charge counts a frame that was read, with n events of which some were
// CRITICAL. Who comes near his rate is told; who exceeds it is not read for as
// long as he owes. The total holds those who owe something of their own: who
// sends little does not wait for what others send.
func (l *loop) charge(lk *link, r *admit.Rates, fl *flow, n, critical int) {
	now := l.io.Now()
	rate := min(r.Agent*fl.crowd.Count(), r.Total)
	modest := fl.all.Full(now)
	wait := fl.all.Take(now, float64(n-critical), rate)
	if w := l.srv.total.Take(now, float64(n-critical), r.Total); !modest {
		wait = max(wait, w)
	}
	if critical > 0 {
		if w := fl.critical.Take(now, float64(critical), r.Critical); w > wait {
			wait, rate = w, min(rate, r.Critical*float64(n)/float64(critical)) // of all that it sends, in the mix of now
		}
	}
	if wait > -admit.Burst/2 && (fl.told == 0 || now-fl.toldAt >= toldEvery && (rate > fl.told*toldChange || rate < fl.told/toldChange)) {
		l.tellRate(lk, fl, rate)
	}
	if wait > 0 {
		l.m.ratePauses.Inc()
		fl.until = now + int64(wait)
		l.m.heldUntil.Store(max(l.m.heldUntil.Load(), fl.until))
		l.pause(lk, linkFull)
		l.io.SetTimer(lk.h, wait)
	}
}

// tellRate asks a link for so many events a second; 0 takes it back.
func (l *loop) tellRate(lk *link, fl *flow, rate float64) {
	l.m.slowed.Inc()
	fl.told, fl.toldAt = rate, l.io.Now()
	l.frame(lk, wire.AppendSlow(l.reply[:0], lk.codec, rate))
}

// unhold goes on reading a link that was above its rate, once it owes nothing.
// False means that it is not its rate that it waits for.
func (l *loop) unhold(lk *link) bool {
	fl := l.flows[lk.h]
	if fl == nil || fl.until == 0 || lk.flags&linkFull == 0 {
		return false
	}
	if wait := fl.until - l.io.Now(); wait > 0 {
		l.io.SetTimer(lk.h, time.Duration(wait))
		return true
	}
	fl.until = 0
	lk.seen = l.tenths() // its silence was ours
	l.io.SetTimer(lk.h, l.srv.cfg.Ping)
	if l.srv.rates.Load() == nil { // the limits have ended, and the sweep that told so passed by who waited
		l.tellRate(lk, fl, 0)
		delete(l.flows, lk.h)
		if !l.flush(lk) {
			return true
		}
	}
	l.resume(lk, linkFull)
	return true
}

// sweepFlows forgets links that owe nothing, or all once the limits have ended,
// and tells those that were slowed that they need not be any more; who is not
// read is told by unhold.
func (l *loop) sweepFlows() {
	now, limited := l.io.Now(), l.srv.rates.Load() != nil
	for h, fl := range l.flows {
		lk := l.links.at(h)
		switch {
		case lk == nil || lk.state != linkAgent:
			delete(l.flows, h)
		case fl.until != 0 || limited && (!fl.all.Full(now) || !fl.critical.Full(now)):
		case fl.told == 0:
			delete(l.flows, h)
		case !limited || now-fl.toldAt >= quietFor:
			l.tellRate(lk, fl, 0)
			delete(l.flows, h)
			l.flush(lk)
		}
	}
}

// Pressure tells how loaded the host and the log are, about ten times a second.
// Of r, CPU, Memory, Queue (beside the rings, which are the engine's to know)
// and Stored are the caller's. For one goroutine.
func (s *Server) Pressure(r admit.Reading) {
	for _, l := range s.loops {
		m := l.m
		r.Taken += m.events.Get()
		r.Critical += m.critical.Get()
		if high := m.ring.high.Load(); high > 0 {
			r.Queue = max(r.Queue, float64(m.ring.used.Load())/float64(high))
		}
		r.Held = r.Held || m.heldUntil.Load() > s.read
	}
	now := s.cfg.Poll.Now()
	s.read = now
	rates := s.control.Update(now, r)
	if rates.Limited() {
		s.rates.Store(&rates)
	} else {
		s.rates.Store(nil)
	}
	s.pressure.set(r, &s.control, rates)
	s.limited = s.limited || rates.Limited()
	if now-s.swept >= int64(time.Second) && s.limited {
		s.swept, s.limited = now, rates.Limited()
		for _, l := range s.loops {
			l.post(l.sweepFlows)
		}
	}
}

// who names a sender for Blocks: the key's owner and the address it comes from.
func (l *loop) who(lk *link) string {
	g := l.grants.at(lk.grant)
	return g.Space + "\x00" + g.Owner + "\x00" + l.remote(lk).Addr().String()
}

// abused ends a link for what no client does by mistake, and keeps its key and
// address out for a while.
func (l *loop) abused(lk *link, reason string) {
	if lk.state == linkHello || lk.state == linkAgent {
		d := l.srv.blocks.Punish(l.who(lk), l.io.Now())
		l.m.abuses.Inc()
		reason += "; come back in " + strconv.Itoa(int(d/time.Second)) + " s"
	}
	l.fail(lk, ws.StatusPolicyViolation, reason)
}
