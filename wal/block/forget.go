package block

// Forget returns b without what forget takes from its records: it is given each one
// and tells whether it has changed kind or payload; the rest stays as it is. A
// record is borrowed until forget returns, a payload given is copied. n is how many were
// changed, bytes by how much payloads shrank; with none changed b itself is returned.
// Payloads must not grow.
func (b *Block) Forget(forget func(*Record) bool) (c *Block, n, bytes int) {
	c = &Block{base: b.base, rows: make([]row, len(b.rows)), payload: make([]byte, 0, len(b.payload)), ranges: b.ranges, classes: b.classes}
	copy(c.rows, b.rows)
	for i := range c.rows {
		r := b.Record(i)
		if forget(&r) {
			n++
		}
		x := &c.rows[i]
		c.payload = append(c.payload, r.Payload...)
		x.kind, x.end = r.Kind, uint32(len(c.payload))
		c.kinds |= x.kind.Mask()
	}
	if n == 0 {
		return b, 0, 0
	}
	return c, n, len(b.payload) - len(c.payload)
}

// Forget makes an event one whose payload is gone.
func (r *Record) Forget() { r.Kind, r.Payload = KindForgotten, nil }
