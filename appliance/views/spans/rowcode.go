package spans

import (
	"encoding/binary"
	"errors"
)

// A row: one byte of format, then varints and texts in the order of code. The
// space is the agent's; hashes come from ids. One function is both encoder and
// decoder.
const format = 1

var errRow = errors.New("spans: a stored row does not decode")

// coder reads or writes fields one after the other.
type coder struct {
	b    []byte
	read bool
	bad  bool
	v    *View // interns while reading under the write lock; nil = plain copies
}

func (c *coder) uint(p *uint64) {
	if !c.read {
		c.b = binary.AppendUvarint(c.b, *p)
		return
	}
	x, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.bad, c.b = true, nil
		return
	}
	*p, c.b = x, c.b[n:]
}

func (c *coder) int(p *int64) {
	if !c.read {
		c.b = binary.AppendVarint(c.b, *p)
		return
	}
	x, n := binary.Varint(c.b)
	if n <= 0 {
		c.bad, c.b = true, nil
		return
	}
	*p, c.b = x, c.b[n:]
}

// A field that is written is only read: queries may read it at the same time.

func (c *coder) u32(p *uint32) {
	x := uint64(*p)
	if c.uint(&x); c.read {
		*p = uint32(x)
	}
}

func (c *coder) i32(p *int32) {
	x := int64(*p)
	if c.int(&x); c.read {
		*p = int32(x)
	}
}

func (c *coder) byte(p *uint8) {
	if !c.read {
		c.b = append(c.b, *p)
		return
	}
	if len(c.b) == 0 {
		c.bad = true
		return
	}
	*p, c.b = c.b[0], c.b[1:]
}

// fixed is for hashes, which varints would make longer.
func (c *coder) fixed(p *uint64) {
	if !c.read {
		c.b = binary.LittleEndian.AppendUint64(c.b, *p)
		return
	}
	if len(c.b) < 8 {
		c.bad, c.b = true, nil
		return
	}
	*p, c.b = binary.LittleEndian.Uint64(c.b), c.b[8:]
}

func (c *coder) text(p *string) {
	n := uint64(len(*p))
	c.uint(&n)
	if !c.read {
		c.b = append(c.b, *p...)
		return
	}
	if n > uint64(len(c.b)) {
		c.bad, c.b = true, nil
		return
	}
	if c.v != nil {
		*p = c.v.intern(c.b[:n])
	} else {
		*p = string(c.b[:n])
	}
	c.b = c.b[n:]
}

func (c *coder) usage(u *usage) {
	c.text(&u.model)
	for i := range u.tok {
		c.int(&u.tok[i])
	}
	c.int(&u.cost)
	c.byte(&u.quality)
}

// optional fields of a row, one bit each.
const (
	opNoStart = 1 << iota
	opSpilled
	opApart
	opGuest
	opUsage
	opError
	opRare  // attempt, severity, ts_from, ends, late start
	opMoved // the hash is not the one of space and id
)

func (c *coder) row(s *span) {
	f := uint8(format)
	c.byte(&f)
	if f != format {
		c.bad = true
		return
	}
	op := uint8(0)
	if !c.read {
		op = s.options()
	}
	c.byte(&op)
	c.byte(&s.typ)
	c.byte(&s.status)
	c.u32(&s.agent)
	if op&opMoved != 0 {
		c.fixed(&s.hash)
	}
	dur, late, end := s.end-s.began, s.began-s.start, s.endOff-s.off
	c.int(&late)
	c.int(&dur)
	c.uint(&end)
	if c.read {
		s.began = s.start + late
		s.end, s.endOff = s.began+dur, s.off+end
		s.flags = back(op)
	}
	if c.read && s.status == stOpen {
		s.end, s.endOff = 0, 0
	}
	for _, p := range [...]*string{&s.id, &s.name, &s.runID, &s.parent, &s.session, &s.task, &s.to, &s.kind, &s.msg} {
		c.text(p)
	}
	if op&opError != 0 {
		c.text(&s.errCode)
		c.text(&s.errMsg)
	}
	if op&opUsage != 0 {
		if c.read {
			s.used = true
		}
		c.usage(&s.usage)
	}
	if op&opRare != 0 {
		c.i32(&s.attempt)
		c.byte(&s.severity)
		c.byte(&s.tsFrom)
		c.u32(&s.ends)
		c.uint(&s.startOff)
	} else if c.read && s.status != stOpen {
		s.ends = 1
	}
	if s.typ >= typeMax || s.status >= statusMax || int(s.tsFrom) >= len(tsFromNames) {
		c.bad = true
	}
}

func (s *span) options() (op uint8) {
	if s.flags&flNoStart != 0 {
		op |= opNoStart
	}
	if s.flags&flSpilled != 0 {
		op |= opSpilled
	}
	if s.flags&flApart != 0 {
		op |= opApart
	}
	if s.flags&flGuest != 0 {
		op |= opGuest
	}
	if s.flags&flMoved != 0 {
		op |= opMoved
	}
	if s.used {
		op |= opUsage
	}
	if s.rich && (s.errCode != "" || s.errMsg != "") {
		op |= opError
	}
	if s.attempt != 0 || s.severity != 0 || s.tsFrom != 0 || s.ends > 1 || s.startOff != 0 {
		op |= opRare
	}
	return op
}

func back(op uint8) (fl uint8) {
	for _, x := range [...]struct{ bit, fl uint8 }{{opNoStart, flNoStart}, {opSpilled, flSpilled}, {opApart, flApart}, {opGuest, flGuest}, {opMoved, flMoved}} {
		if op&x.bit != 0 {
			fl |= x.fl
		}
	}
	return fl
}

func (c *coder) tally(t *tally) {
	f := uint8(format)
	c.byte(&f)
	if f != format {
		c.bad = true
		return
	}
	c.text(&t.space)
	c.text(&t.id)
	c.u32(&t.owner)
	c.int(&t.first)
	c.int(&t.last)
	for _, p := range [...]*uint64{&t.spans, &t.tools, &t.errors, &t.run.off} {
		c.uint(p)
	}
	c.int(&t.run.start)
	c.u32(&t.era)
	c.usage(&t.usage)
	n := uint64(len(t.agents))
	c.uint(&n)
	if c.read {
		if n > tallyAgents {
			c.bad = true
			return
		}
		t.agents = make([]uint32, n)
	}
	last := uint32(0)
	for i := range t.agents {
		d := t.agents[i] - last
		c.u32(&d)
		last += d
		if c.read {
			t.agents[i] = last
		}
	}
}

// counts is one byte of presence, then the counters.
func (c *coder) counts(n **counts) {
	has := uint8(0)
	if *n != nil {
		has = 1
	}
	c.byte(&has)
	if has == 0 {
		return
	}
	if *n == nil {
		*n = &counts{}
	}
	for i := 1; i < typeMax; i++ {
		for j := range (*n).n[i] {
			c.u32(&(*n).n[i][j])
		}
	}
}
