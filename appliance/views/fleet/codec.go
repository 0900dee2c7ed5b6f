package fleet

import (
	"errors"

	"github.com/tinylib/msgp/msgp"
)

var errSnapshot = errors.New("fleet: a snapshot entry does not decode")

// codec reads or writes MessagePack values one after the other, so that one
// list of fields is both encoder and decoder. Writing changes nothing but b.
type codec struct {
	b    []byte
	read bool
	err  error
	sink uint64
	v    *View  // interns while reading
	text string // all that is read, where texts may share one copy of it; else ""
}

func (c *codec) fail(err error) {
	if err != nil && c.err == nil {
		c.err = err
	}
}

func (c *codec) i64(p *int64) {
	if !c.read {
		if uint64(*p) < 0x80 {
			c.b = append(c.b, byte(*p))
			return
		}
		c.b = msgp.AppendInt64(c.b, *p)
		return
	}
	if len(c.b) > 0 && c.b[0] < 0x80 && c.err == nil {
		*p, c.b = int64(c.b[0]), c.b[1:]
		return
	}
	if c.err == nil {
		var err error
		*p, c.b, err = msgp.ReadInt64Bytes(c.b)
		c.fail(err)
	}
}

func (c *codec) u64(p *uint64) {
	if !c.read {
		if *p < 0x80 {
			c.b = append(c.b, byte(*p))
			return
		}
		c.b = msgp.AppendUint64(c.b, *p)
		return
	}
	if len(c.b) > 0 && c.b[0] < 0x80 && c.err == nil {
		*p, c.b = uint64(c.b[0]), c.b[1:]
		return
	}
	if c.err == nil {
		var err error
		*p, c.b, err = msgp.ReadUint64Bytes(c.b)
		c.fail(err)
	}
}

// i64s, u64s and u32s walk arrays: most cells of most agents are small.
func (c *codec) i64s(s []int64) {
	i := 0
	if !c.read {
		b := c.b
		for ; i < len(s) && uint64(s[i]) < 0x80; i++ {
			b = append(b, byte(s[i]))
		}
		c.b = b
	}
	for ; i < len(s); i++ {
		c.i64(&s[i])
	}
}

func (c *codec) u64s(s []uint64) {
	i := 0
	if !c.read {
		b := c.b
		for ; i < len(s) && s[i] < 0x80; i++ {
			b = append(b, byte(s[i]))
		}
		c.b = b
	}
	for ; i < len(s); i++ {
		c.u64(&s[i])
	}
}

func (c *codec) u32s(s []uint32) {
	i := 0
	if !c.read {
		b := c.b
		for ; i < len(s) && s[i] < 0x80; i++ {
			b = append(b, byte(s[i]))
		}
		c.b = b
	}
	for ; i < len(s); i++ {
		c.u32(&s[i])
	}
}

func (c *codec) u32(p *uint32) {
	x := uint64(*p)
	if c.u64(&x); c.read {
		*p = uint32(x)
	}
}

func (c *codec) u8(p *uint8) {
	x := uint64(*p)
	if c.u64(&x); c.read {
		*p = uint8(x)
	}
}

func (c *codec) flag(p *bool) {
	if !c.read {
		c.b = msgp.AppendBool(c.b, *p)
		return
	}
	if c.err == nil {
		var err error
		*p, c.b, err = msgp.ReadBoolBytes(c.b)
		c.fail(err)
	}
}

// str keeps a text of its own; shared texts go through word.
func (c *codec) str(p *string) {
	if !c.read {
		c.b = msgp.AppendString(c.b, *p)
		return
	}
	if b := c.bytes(); b != nil {
		if c.text == "" {
			*p = string(b)
			return
		}
		end := len(c.text) - len(c.b)
		*p = c.text[end-len(b) : end]
	}
}

func (c *codec) word(p *string) {
	if !c.read {
		c.b = msgp.AppendString(c.b, *p)
		return
	}
	if b := c.bytes(); b != nil {
		*p = c.v.intern(b)
	}
}

func (c *codec) bytes() []byte {
	if c.err != nil {
		return nil
	}
	b, rest, err := msgp.ReadStringZC(c.b)
	c.fail(err)
	c.b = rest
	return b
}

// size writes or reads a length; read ones are bounded by the bytes at hand.
func (c *codec) size(n int) int {
	if !c.read {
		c.b = msgp.AppendArrayHeader(c.b, uint32(n))
		return n
	}
	if c.err != nil {
		return 0
	}
	m, rest, err := msgp.ReadArrayHeaderBytes(c.b)
	c.fail(err)
	c.b = rest
	if err == nil && int64(m) > int64(len(rest)) {
		c.fail(errSnapshot)
	}
	if c.err != nil {
		return 0
	}
	return int(m)
}

// list walks a slice; while reading it makes it first.
func list[T any](c *codec, s *[]T, item func(*T)) {
	n := c.size(len(*s))
	if c.read {
		*s = nil
		if n > 0 {
			*s = make([]T, n)
		}
	}
	for i := range *s {
		item(&(*s)[i])
	}
}

func (c *codec) usage(u *usage) {
	c.i64s(u.tok[:])
	c.i64(&u.cost)
	c.u8(&u.quality)
}

func (c *codec) span(s *span) {
	c.u64(&s.hash)
	c.u8(&s.typ)
	c.i64(&s.since)
	c.u64(&s.call)
	c.str(&s.id)
	c.word(&s.name)
	c.str(&s.msg)
	c.word(&s.kind)
	c.str(&s.run)
	c.str(&s.from)
	has := s.usage != nil
	c.flag(&has)
	if has {
		if s.usage == nil {
			s.usage = &usage{}
		}
		c.usage(s.usage)
	}
}

func (c *codec) streak(s *streak) {
	c.u64(&s.hash)
	c.u64(&s.out)
	c.u32(&s.n)
	c.i64(&s.first)
	c.i64(&s.last)
	c.word(&s.what)
	c.u64s(s.offs[:])
}

func (c *codec) agent(a *agent) {
	c.u32(&a.producer)
	c.word(&a.space)
	c.str(&a.id)
	for _, p := range [...]*string{&a.name, &a.role, &a.host, &a.version, &a.model, &a.kind} {
		c.word(p)
	}
	c.str(&a.manager)
	c.str(&a.session)
	c.flag(&a.managerSaid)
	list(c, &a.labels, func(l *label) { c.word(&l.k); c.word(&l.v) })
	st := uint8(a.state)
	c.u8(&st)
	if c.read && int(st) < len(stateNames) {
		a.state = state(st)
	}
	c.u8(&a.on)
	c.u8(&a.by)
	if int(a.on) >= len(onNames) || int(a.by) >= len(byNames) {
		c.fail(errSnapshot)
	}
	c.flag(&a.said)
	c.flag(&a.gone)
	for _, p := range [...]*int64{&a.since, &a.first, &a.last, &a.recv, &a.ended, &a.heartbeat, &a.gap, &a.budget} {
		c.i64(p)
	}
	c.str(&a.msg)
	c.u32(&a.workers)
	for _, p := range [...]*uint64{&a.gapOff, &a.lastOff, &a.failOff} {
		c.u64(p)
	}
	c.u64s(a.counts[:])
	c.usage(&a.usage)
	c.i64(&a.ring.minute)
	c.u32s(a.ring.events[:])
	c.i64s(a.ring.cost[:])
	list(c, &a.open, c.span)
	c.u64s(a.past[:])
	c.u8(&a.pastNext)
	c.str(&a.lastRun)
	c.streak(&a.repeat)
	c.streak(&a.failing)
	list(c, &a.verdicts, func(x *verdict) {
		c.u8(&x.kind)
		c.u8(&x.rule)
		if int(x.kind) >= len(verdictNames) || int(x.rule) >= len(ruleNames) {
			c.fail(errSnapshot)
		}
		c.i64(&x.since)
		c.i64(&x.n)
		c.word(&x.what)
		list(c, &x.evidence, c.u64)
	})
}

func (c *codec) awaited(w *awaited) {
	c.str(&w.manager)
	list(c, &w.workers, c.u32)
	list(c, &w.tasks, c.span)
}

func (c *codec) producer(p *producer) {
	c.u64(&p.link)
	c.flag(&p.open)
	c.i64(&p.closed)
	c.u64(&p.off)
}

// spaces walks the totals of each space.
func (c *codec) spaces() {
	if n := c.size(len(c.v.sums)); c.read {
		for range n {
			var name string
			if c.word(&name); c.err != nil {
				return
			}
			c.totals(&c.v.summary(name).total)
		}
		return
	}
	for name, s := range c.v.sums {
		c.word(&name)
		c.totals(&s.total)
	}
}

func (c *codec) totals(t *totals) {
	c.i64(&t.second)
	for i := range t.perSec {
		c.u32(&t.perSec[i])
	}
	c.i64(&t.minute)
	for i := range ringMinutes {
		c.i64(&t.tokens[i])
		c.i64(&t.cost[i])
		c.i64(&t.calls[i])
		c.i64(&t.failed[i])
	}
}
