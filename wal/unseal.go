package wal

import (
	"encoding/binary"

	"eyrie/wal/block"
)

// unsealing makes blocks again of sealed records, given in order: with ranges,
// that the sealed form does without.
type unsealing struct {
	epochs []EpochStart // of the log
	cur    *block.Builder
	epoch  uint32 // of cur
	blocks []*Block
	open   map[uint32]*openRange
}

// openRange is what is known of a producer.
type openRange struct {
	epoch     uint64
	last, rng uint64 // bases of its newest block, and of the one in which at is open
	at        int
}

// begin takes the producers' epochs from the tables, which are as they were
// before the first record; later calls do nothing.
func (u *unsealing) begin(r *recovery) {
	if u.open != nil {
		return
	}
	u.open = map[uint32]*openRange{}
	for n, p := range r.producers {
		u.open[n] = &openRange{epoch: p.epoch}
	}
}

// epochAt returns the log's epoch that offset off was written in.
func epochAt(epochs []EpochStart, off uint64) (e uint32) {
	for i := range epochs {
		if epochs[i].First <= off {
			e = epochs[i].Epoch
		}
	}
	return e
}

// add takes the records of b.
func (u *unsealing) add(b *Block) {
	for i := range b.Len() {
		rec := b.Record(i)
		u.room(&rec)
		p := u.open[rec.Producer]
		if p == nil {
			p = &openRange{}
			u.open[rec.Producer] = p
		}
		if rec.Kind == KindFence && len(rec.Payload) >= 8 {
			p.epoch, p.rng = max(p.epoch, binary.LittleEndian.Uint64(rec.Payload)), 0 // what follows is a range of its own
		}
		rng := -1
		if rec.Kind.Numbered() {
			rng = u.settle(p, &rec)
		}
		u.cur.Append(&rec, rng)
	}
}

// room makes sure that the record may be appended to the current block.
func (u *unsealing) room(rec *Record) {
	epoch := epochAt(u.epochs, rec.Offset)
	if u.cur != nil && (epoch != u.epoch || rec.Offset != u.cur.Base()+uint64(u.cur.Len()) || !u.cur.Fits(len(rec.Payload))) {
		u.seal()
	}
	if u.cur == nil {
		u.cur, u.epoch = block.NewBuilder(rec.Offset, block.RecordsMax, 0), epoch
	}
}

// settle returns the range that the record belongs to.
func (u *unsealing) settle(p *openRange, rec *Record) int {
	base := u.cur.Base()
	if p.rng == base {
		u.cur.Settle(p.at, rec.To())
		return p.at
	}
	prev := p.last
	if prev == base { // its second range in the block
		for _, g := range u.cur.Ranges() {
			if g.Producer == rec.Producer {
				prev = g.Prev
			}
		}
	}
	p.at = u.cur.OpenRange(block.Range{Producer: rec.Producer, Epoch: p.epoch, From: rec.Seq, To: rec.To(), Prev: prev})
	p.last, p.rng = base, base
	return p.at
}

// seal ends the current block.
func (u *unsealing) seal() {
	if u.cur != nil && u.cur.Len() > 0 {
		u.blocks = append(u.blocks, u.cur.Block())
	}
	u.cur = nil
}
