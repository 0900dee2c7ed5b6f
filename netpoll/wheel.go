//go:build linux

package netpoll

import "math/bits"

const (
	wheelSlots = 4096
	wheelMask  = wheelSlots - 1
	wheelNone  = 0xffff
)

// wheel holds the timers of a slab, one per connection, linked through the
// connections. A wheel slot is looked at each time its tick comes round; what
// is not due yet stays or moves. Putting a timer off is one store: the entry
// moves on only when its old slot comes round. Ticks are modulo 2^32.
type wheel struct {
	s     *slab
	tick  uint32 // everything due up to here has fired
	count int    // entries linked
	heads [wheelSlots]uint32
	bits  [wheelSlots / 64]uint64
}

// set makes the timer of slot fire at tick at, or at the next one if that has
// passed.
func (w *wheel) set(slot, at uint32) {
	if int32(at-w.tick) <= 0 {
		at = w.tick + 1
	}
	if at == 0 {
		at = 1
	}
	c := w.s.at(slot)
	c.at = at
	if c.wheel != wheelNone {
		visit := w.tick + 1 + (uint32(c.wheel)-w.tick-1)&wheelMask
		if int32(at-visit) >= 0 {
			return
		}
		w.unlink(c)
	}
	w.link(slot, c)
}

// off stops the timer of slot.
func (w *wheel) off(slot uint32) {
	c := w.s.at(slot)
	c.at = 0
	if c.wheel != wheelNone {
		w.unlink(c)
	}
}

// advance moves to tick now and appends the slots whose timers fired.
func (w *wheel) advance(now uint32, due []uint32) []uint32 {
	if int32(now-w.tick) <= 0 {
		return due
	}
	steps := min(now-w.tick, wheelSlots)
	first := w.tick + 1
	w.tick = now
	for i := range steps {
		if w.count == 0 {
			break
		}
		if at := (first + i) & wheelMask; w.bits[at>>6]&(1<<(at&63)) != 0 {
			due = w.visit(at, due)
		}
	}
	return due
}

func (w *wheel) visit(at uint32, due []uint32) []uint32 {
	for n := w.heads[at]; n != 0; {
		slot := n - 1
		c := w.s.at(slot)
		n = c.next
		switch {
		case int32(c.at-w.tick) <= 0:
			w.unlink(c)
			c.at = 0
			due = append(due, slot)
		case c.at&wheelMask != at:
			w.unlink(c)
			w.link(slot, c)
		}
	}
	return due
}

// wait is the number of ticks until a slot with entries comes round, 0 if
// there is none.
func (w *wheel) wait() uint32 {
	if w.count == 0 {
		return 0
	}
	first := (w.tick + 1) & wheelMask
	word := first >> 6
	b := w.bits[word] &^ (1<<(first&63) - 1)
	for range len(w.bits) + 1 {
		if b != 0 {
			at := word<<6 + uint32(bits.TrailingZeros64(b))
			return (at-first)&wheelMask + 1
		}
		word = (word + 1) & (wheelSlots/64 - 1)
		b = w.bits[word]
	}
	return 0
}

func (w *wheel) link(slot uint32, c *conn) {
	at := c.at & wheelMask
	c.wheel, c.prev, c.next = uint16(at), 0, w.heads[at]
	if c.next != 0 {
		w.s.at(c.next - 1).prev = slot + 1
	}
	w.heads[at] = slot + 1
	w.bits[at>>6] |= 1 << (at & 63)
	w.count++
}

func (w *wheel) unlink(c *conn) {
	at := uint32(c.wheel)
	if c.prev != 0 {
		w.s.at(c.prev - 1).next = c.next
	} else if w.heads[at] = c.next; c.next == 0 {
		w.bits[at>>6] &^= 1 << (at & 63)
	}
	if c.next != 0 {
		w.s.at(c.next - 1).prev = c.prev
	}
	c.wheel, c.next, c.prev = wheelNone, 0, 0
	w.count--
}
