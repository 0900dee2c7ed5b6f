package block

// Cut returns a block of the first n records of b, 1 ≤ n ≤ b.Len(), with what
// it then holds of each producer. It shares b's memory.
func (b *Block) Cut(n int) *Block {
	c := &Block{base: b.base, rows: b.rows[:n:n], payload: b.payload[:b.rows[n-1].end]}
	to := make([]uint64, len(b.ranges)) // 0: nothing of the range is left
	of := map[uint32][]int{}
	for i := range b.ranges {
		of[b.ranges[i].Producer] = append(of[b.ranges[i].Producer], i)
	}
	for i := range c.rows {
		r := &c.rows[i]
		c.classes |= 1 << (r.class & 63)
		c.kinds |= r.kind.Mask()
		if !r.kind.Numbered() {
			continue
		}
		rec := c.Record(i)
		for _, g := range of[r.producer] {
			if rng := &b.ranges[g]; r.seq >= rng.From && r.seq <= rng.To {
				to[g] = max(to[g], rec.To())
				break
			}
		}
	}
	for i, end := range to {
		if end != 0 {
			rng := b.ranges[i]
			rng.To = end
			c.ranges = append(c.ranges, rng)
		}
	}
	return c
}
