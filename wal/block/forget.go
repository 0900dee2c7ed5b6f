package block

// Forget returns b without what forget tells of: such an event becomes a record of
// kind Forgotten, any other record keeps its kind, and their payloads are gone. The
// record is borrowed until forget returns. n is how many there were and bytes what
// they held; with none of them b itself is returned.
func (b *Block) Forget(forget func(*Record) bool) (c *Block, n, bytes int) {
	var r Record
	hit := make([]bool, len(b.rows))
	for i := range b.rows {
		if b.Load(i, &r); forget(&r) {
			hit[i] = true
			n++
			bytes += len(r.Payload)
		}
	}
	if n == 0 {
		return b, 0, 0
	}
	c = &Block{base: b.base, rows: make([]row, len(b.rows)), payload: make([]byte, 0, len(b.payload)-bytes), ranges: b.ranges, classes: b.classes}
	copy(c.rows, b.rows)
	for i := range c.rows {
		b.Load(i, &r)
		x := &c.rows[i]
		if hit[i] {
			x.kind = forgotten(x.kind)
		} else {
			c.payload = append(c.payload, r.Payload...)
		}
		x.end = uint32(len(c.payload))
		c.kinds |= x.kind.Mask()
	}
	return c, n, bytes
}

// forgotten is the kind that a record of kind k has once its payload is gone.
func forgotten(k Kind) Kind {
	if k == KindEvent {
		return KindForgotten
	}
	return k
}

// Forget makes r what is left of it without its payload.
func (r *Record) Forget() { r.Kind, r.Payload = forgotten(r.Kind), nil }
