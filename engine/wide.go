//go:build linux

package engine

import (
	"net/netip"

	"eyrie/netpoll"
)

// wide is what does not fit into the links of a few: an IPv6 address, counts
// beyond 32 bits. Links without have no entry in loop.wide.
type wide struct {
	addr          [16]byte
	events, bytes uint64 // to be added to the link's own
}

// widen returns the entry of lk, which is made if need be.
func (l *loop) widen(lk *link) *wide {
	lk.flags |= linkWide
	w := l.wide[lk.h]
	if w == nil {
		if l.wide == nil {
			l.wide = make(map[netpoll.Handle]*wide)
		}
		w = new(wide)
		l.wide[lk.h] = w
	}
	return w
}

// forget empties the slot of a link that is gone.
func (l *loop) forget(lk *link) {
	if lk.flags&linkWide != 0 {
		delete(l.wide, lk.h)
	}
	*lk = link{}
}

// setRemote keeps where the link comes from.
func (l *loop) setRemote(lk *link, at netip.AddrPort) {
	lk.port = at.Port()
	if a := at.Addr().Unmap(); a.Is4() {
		lk.addr = a.As4()
	} else {
		l.widen(lk).addr = a.As16()
	}
}

// remote is where the link comes from.
func (l *loop) remote(lk *link) netip.AddrPort {
	if lk.flags&linkWide != 0 {
		if w := l.wide[lk.h]; w.addr != [16]byte{} {
			return netip.AddrPortFrom(netip.AddrFrom16(w.addr), lk.port)
		}
	}
	return netip.AddrPortFrom(netip.AddrFrom4(lk.addr), lk.port)
}

// received counts events and bytes of lk.
func (l *loop) received(lk *link, events, bytes int) {
	e, b := uint64(lk.events)+uint64(events), uint64(lk.bytes)+uint64(bytes)
	lk.events, lk.bytes = uint32(e), uint32(b)
	if (e|b)>>32 != 0 {
		w := l.widen(lk)
		w.events += e >> 32 << 32
		w.bytes += b >> 32 << 32
	}
}

// totals is what received has counted.
func (l *loop) totals(lk *link) (events, bytes uint64) {
	events, bytes = uint64(lk.events), uint64(lk.bytes)
	if lk.flags&linkWide != 0 {
		w := l.wide[lk.h]
		events, bytes = events+w.events, bytes+w.bytes
	}
	return events, bytes
}
