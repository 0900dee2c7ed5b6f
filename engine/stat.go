//go:build linux

package engine

import (
	"net/netip"
	"time"

	"eyrie/engine/wire"
	"eyrie/netpoll"
)

// LinkStat describes one agent's link at the moment its loop was asked.
type LinkStat struct {
	Link     netpoll.Handle
	Space    string
	Owner    string // id of the key
	Agent    string // default agent id; may be empty
	Codec    wire.Codec
	Remote   netip.AddrPort
	Listener int
	Opened   time.Time
	Seen     time.Time // last bytes in, to a tenth of a second
	Events   uint64    // received, refused ones included
	BytesIn  uint64    // after the upgrade
	Next     uint64    // number after the last one received
	Paused   bool      // not being read: the ring is full, or it does not read us
}

func (l *loop) stat(lk *link) LinkStat {
	g := l.grants.at(lk.grant)
	events, bytes := l.totals(lk)
	return LinkStat{
		Link:     lk.h,
		Space:    g.Space,
		Owner:    g.Owner,
		Agent:    string(l.names.get(lk.agent)),
		Codec:    lk.codec,
		Remote:   l.remote(lk),
		Listener: int(lk.tag),
		Opened:   l.srv.started.Add(time.Duration(lk.opened) * time.Second),
		Seen:     l.srv.started.Add(time.Duration(lk.seen) * 100 * time.Millisecond),
		Events:   events,
		BytesIn:  bytes,
		Next:     lk.next,
		Paused:   lk.flags&linkPaused != 0,
	}
}
