//go:build linux

package sim

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"eyrie/engine/wire"
	"eyrie/wal"
)

// Books are the numbers of all producers, by what became of them.
type Books struct {
	Made, Stored, Refused, Shed, Lost, Held, Forgotten int
}

// fate is how the log has settled a number.
type fate struct {
	kind wal.Kind
	msg  string
}

func sortConns(cs []*conn) {
	slices.SortFunc(cs, func(a, b *conn) int { return cmp.Compare(a.id, b.id) })
}

// verify reads the log from its beginning and holds it against what the agents
// were told. At the end the books must balance.
func (w *world) verify(s *site, end bool) {
	if err := w.readLog(s); err != nil {
		w.fail("%w", err)
		return
	}
	var b Books
	for _, p := range w.producers {
		if err := p.check(end, &b); err != nil {
			w.fail("%w", err)
			return
		}
	}
	if end {
		w.res.Books = b
		if b.Made != b.Stored+b.Refused+b.Shed+b.Lost+b.Held+b.Forgotten {
			w.fail("the books do not balance: %+v", b)
		}
		if w.cfg.Views && w.err == nil {
			s.compareViews()
		}
	}
}

// readLog fills in the producers' fates.
func (w *world) readLog(s *site) error {
	for _, p := range w.producers {
		clear(p.fates)
	}
	seen := map[string]uint64{}
	byNum := map[uint32]*producer{}
	s.log.Producers(func(ps wal.ProducerState) bool {
		if i := int(ps.Key.ID[0]); ps.Key.Owner == "k" && i >= 1 && i <= len(w.producers) {
			byNum[ps.Num] = w.producers[i-1]
		}
		return true
	})
	last := map[uint32]uint64{}
	epoch := map[uint32]uint64{} // of the newest fence
	want, recv := uint64(1), int64(0)
	for f := s.log.Follow(1); f.Offset() < s.log.Next(); {
		b, err := f.Next(context.Background())
		if err != nil {
			return fmt.Errorf("the log cannot be read: %w", err)
		}
		for i := range b.Len() {
			r := b.Record(i)
			if r.Offset != want || r.Recv < recv {
				return fmt.Errorf("offset %d, recv %d behind %d, %d", r.Offset, r.Recv, want-1, recv)
			}
			want, recv = want+1, r.Recv
			if r.Kind == wal.KindFence {
				epoch[r.Producer] = binary.LittleEndian.Uint64(r.Payload)
			}
			switch r.Kind {
			case wal.KindEvent, wal.KindRefused, wal.KindShed, wal.KindLost:
			default:
				continue
			}
			p := byNum[r.Producer]
			if p == nil {
				return fmt.Errorf("offset %d is of producer %d, which nobody is", r.Offset, r.Producer)
			}
			if r.Seq != last[r.Producer]+1 {
				return fmt.Errorf("offset %d: number %d of producer %d follows %d", r.Offset, r.Seq, p.id, last[r.Producer])
			}
			last[r.Producer] = r.To()
			ft := fate{kind: r.Kind}
			if r.Kind == wal.KindEvent {
				var e wire.Event
				if err := wire.DecodeEvent(r.Payload, &e); err != nil {
					return fmt.Errorf("offset %d: %w", r.Offset, err)
				}
				if at, twice := seen[e.Msg]; twice {
					return fmt.Errorf("event %s is stored at %d and at %d", e.Msg, at, r.Offset)
				}
				seen[e.Msg], ft.msg = r.Offset, e.Msg
				if !p.speaks(epoch[r.Producer], e.Msg) {
					return fmt.Errorf("event %s is stored at %d, behind the fence of life %d", e.Msg, r.Offset, epoch[r.Producer])
				}
			}
			for n := r.Seq; n <= r.To(); n++ {
				p.fates[n] = ft
			}
		}
	}
	return nil
}

// speaks tells whether a life may send the event: its own, or one it began with.
func (p *producer) speaks(life uint64, msg string) bool {
	if life < 1 || life > uint64(len(p.lives)) {
		return false
	}
	for a := p.lives[life-1]; a != nil; a = a.of {
		if mine(a, msg) {
			return true
		}
	}
	return false
}

// check holds what the lives believe against the log.
func (p *producer) check(end bool, b *Books) error {
	for _, a := range p.lives {
		for _, s := range a.settled {
			if err := p.believed(a, &s); err != nil {
				return err
			}
		}
		if !end {
			continue
		}
		b.Made += a.made
		p.count(a, b)
	}
	return nil
}

// mine tells whether the life made the event.
func mine(a *agent, msg string) bool {
	var p, life int
	var n uint64
	_, _ = fmt.Sscanf(msg, "%d/%d/%d", &p, &life, &n)
	return life == a.life
}

// believed checks one number that an agent let go of.
func (p *producer) believed(a *agent, s *settled) error {
	f, ok := p.fates[s.n]
	say := func(what string) error {
		return fmt.Errorf("producer %d, life %d: number %d was acknowledged (told %q, given up %v) and %s: the log has %v %q", p.id, a.life, s.n, s.told, s.gave, what, f.kind, f.msg)
	}
	switch {
	case !ok:
		return say("is not in the log")
	case f.kind == wal.KindEvent && f.msg == s.msg, s.gave:
	case s.told != "":
	case f.kind == wal.KindRefused && s.bad, f.kind == wal.KindShed && len(a.shed) > 0:
		// Settled on a link whose end took the notice with it.
	case f.kind == wal.KindShed && a.life > 1 && !mine(a, s.msg):
	default:
		return say("nobody was told")
	}
	return nil
}

// count enters what a life made into the books: the log says what was stored,
// the life what it still holds; what neither knows went with the life's state.
func (p *producer) count(a *agent, b *Books) {
	at := map[uint64]item{}
	for _, l := range p.lives {
		for _, it := range l.held {
			if mine(a, it.msg) && !l.dead && l.over == "" {
				at[it.n] = it
			}
		}
	}
	left := a.made
	enter := func(to *int) { *to++; left-- }
	for n, made := range p.madeBy(a) {
		f := p.fates[n]
		_, held := at[n]
		switch {
		case f.kind == wal.KindEvent && f.msg == made.msg:
			enter(&b.Stored)
		case held:
			enter(&b.Held)
		case !made.settled:
			enter(&b.Forgotten)
		case f.kind == wal.KindRefused:
			enter(&b.Refused)
		case f.kind == wal.KindShed:
			enter(&b.Shed)
		case f.kind == wal.KindLost || made.gave:
			enter(&b.Lost)
		default: // told that another life's event has the number
			enter(&b.Refused)
		}
	}
	b.Forgotten += left
}

type made struct {
	item
	settled bool
}

// madeBy are the events that a life made, as far as any life knows of them.
func (p *producer) madeBy(a *agent) map[uint64]made {
	m := map[uint64]made{}
	for _, l := range p.lives {
		for _, it := range l.held {
			if mine(a, it.msg) && !m[it.n].settled {
				m[it.n] = made{item: it}
			}
		}
		for _, s := range l.settled {
			if mine(a, s.msg) {
				m[s.n] = made{s.item, true}
			}
		}
	}
	return m
}
