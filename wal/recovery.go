package wal

import (
	"encoding/binary"
	"errors"
	"fmt"

	"eyrie/wal/block"
)

// recovery walks the newest blocks at open: it finds the log's end, checks that
// nothing is missing or other than acknowledged, and folds the tables from
// their checkpoint on.
type recovery struct {
	l         *Log
	mark      mark
	salvage   bool // what is missing is passed over
	producers map[uint32]*producer
	expired   map[uint32]*producer
	// digests of what no producer numbers, and of producers in their own; from is
	// the first offset they are of
	unnumbered block.Digest
	from       uint64
	of         []block.DigestOf

	end    uint64 // offset behind the last block, 0 before the first
	digest uint64 // of all headers up to end
	recv   int64
	seen   bool // the mark's position has been passed
	whole  bool // the stretch is the whole log
}

func (r *recovery) next() uint64 { return max(r.end, 1) }

// tables loads the tables as the last checkpoint left them.
func (r *recovery) tables() error {
	r.producers, r.expired = map[uint32]*producer{}, map[uint32]*producer{}
	err := scan(r.l.db, prefixAgent, func(k, v []byte) error {
		if len(k) != 5 {
			return errors.New("the log's table of agents is damaged")
		}
		n := binary.BigEndian.Uint32(k[1:])
		err := r.l.agents.fold(n, v)
		if errors.Is(err, errAgentsMissing) && r.salvage {
			r.l.agents.pad(n - 1)
			return r.l.agents.fold(n, v)
		}
		if errors.Is(err, errAgentsMissing) {
			return &LostError{Epoch: r.mark.epoch, Reason: err.Error()}
		}
		return err
	})
	return errors.Join(err, scan(r.l.db, prefixProducer, func(k, v []byte) error {
		if len(k) != 5 {
			return errors.New("the log's table of producers is damaged")
		}
		n := binary.BigEndian.Uint32(k[1:])
		p, err := decodeProducer(n, v)
		r.producers[n] = p
		return err
	}))
}

// checkedBytes is how far back, in bytes of bodies, blocks are checked to hang
// together: more than the store can have held in memtables, and more than the
// groups that can lie behind a mark.
func checkedBytes(o *Options) int64 {
	return int64(max(5*o.MemtableBytes, 2*syncedMax*o.GroupBytes))
}

// walk visits the headers from the beginning of the stretch to be checked to the end.
func (r *recovery) walk(c checkpoint) (err error) {
	it, err := r.l.headers(r.l.Sealed(), 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	sum := int64(0)
	ok := it.Last()
	for ; ok; ok = it.Prev() {
		base := baseIn(it.Key())
		if v, err := it.ValueAndErr(); err == nil && len(v) >= 72 {
			sum += int64(binary.LittleEndian.Uint32(v[68:]))
		}
		if !r.l.o.AcceptLoss && sum > checkedBytes(&r.l.o) && base < c.next && (r.mark.next == 0 || base < r.mark.next) {
			break
		}
	}
	if !ok { // all blocks: they begin where what is sealed ends
		r.whole, ok = true, it.First()
		if list := r.l.Stretches(); len(list) > 0 {
			r.end, r.digest = list[len(list)-1].Next, list[len(list)-1].digest
			r.seen = r.end == r.mark.next && r.digest == r.mark.digest
		}
	}
	first := true
	for ; ok; ok = it.Next() {
		var h block.Header
		if err := headerAt(it, &h); err != nil {
			var newer *block.VersionError
			if errors.As(err, &newer) {
				return &NewerFormatError{What: "block", Got: uint64(newer.Got), Most: uint64(newer.Most)}
			}
			base := baseIn(it.Key())
			return &LostError{From: base, To: base, Epoch: r.mark.epoch, Reason: err.Error()}
		}
		if err := r.block(&h, first, c); err != nil {
			return err
		}
		first = false
	}
	if err := it.Error(); err != nil {
		return fmt.Errorf("read the log's headers: %w", err)
	}
	return r.finish(c)
}

// block checks one header and folds it.
func (r *recovery) block(h *block.Header, first bool, c checkpoint) error {
	l := r.l
	if h.LogID != l.id {
		return fmt.Errorf("the block at offset %d is of log %x, this is log %x", h.Base, h.LogID, l.id)
	}
	switch {
	case first && !r.whole:
		// The stretch begins here; what is before it was checked earlier.
	case h.Base != r.next():
		if !r.known(r.next(), h.Base-1) {
			return &LostError{From: r.next(), To: h.Base - 1, Epoch: h.Epoch, Reason: "blocks are missing before those that follow"}
		}
	case h.Chain != r.digest:
		return &LostError{From: h.Base, To: h.Next() - 1, Epoch: h.Epoch, Reason: "the block does not follow from those before it"}
	}
	r.end, r.digest, r.recv = h.Next(), h.Digest(), max(r.recv, h.RecvMax)
	if r.end == r.mark.next {
		r.seen = true
		if r.digest != r.mark.digest {
			return &LostError{From: h.Base, To: h.Next() - 1, Epoch: h.Epoch, Reason: "the digest is not the mark's: an older state of the store"}
		}
	}
	switch {
	case h.Base >= c.next:
		return r.fold(h)
	case l.o.AcceptLoss: // all of the loss is found: sealing would stop at a body that nobody can read
		if _, err := l.loadBody(h); damaged(err) {
			return &LostError{From: h.Base, To: h.Next() - 1, Epoch: h.Epoch, Reason: err.Error()}
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (r *recovery) known(from, to uint64) bool {
	for _, h := range r.l.holes {
		if h.From <= from && h.To >= to {
			return true
		}
	}
	return false
}

// finish compares the end found with checkpoint and mark.
func (r *recovery) finish(c checkpoint) error {
	most, why := c.next, "the checkpoint knows of more than the store has"
	if r.mark.next > most {
		most, why = r.mark.next, "the mark vouches for more than the store has"
	}
	epoch := r.mark.epoch
	if r.next() < most {
		return &LostError{From: r.next(), To: most - 1, Epoch: epoch, Reason: why}
	}
	if r.mark.next > 1 && !r.seen {
		return &LostError{From: r.mark.next, To: r.next() - 1, Epoch: epoch, Reason: "no block ends where the mark stands"}
	}
	return nil
}

// fold brings the tables up to the end of the block.
func (r *recovery) fold(h *block.Header) error {
	b, err := r.l.loadBody(h)
	if err != nil {
		return &LostError{From: h.Base, To: h.Next() - 1, Epoch: h.Epoch, Reason: err.Error()}
	}
	return r.foldBlock(b)
}

// foldBlock brings the tables up to the end of the block.
func (r *recovery) foldBlock(b *Block) error {
	if r.salvage {
		most := uint32(0)
		for i := range b.Len() {
			most = max(most, b.Agent(i))
		}
		defer r.l.agents.pad(most)
	}
	if b.Kinds()&block.StateKinds != 0 {
		for i := range b.Len() {
			rec := b.Record(i)
			if err := r.record(&rec); err != nil {
				return errFold(rec.Offset, err)
			}
		}
	}
	r.sum(b)
	if len(b.Ranges()) == 0 {
		r.numbers(b)
	}
	for _, g := range b.Ranges() {
		p := r.producers[g.Producer]
		if p == nil {
			if r.salvage || r.expired[g.Producer] != nil {
				continue // its dictionary record is among what was lost, or it expired later in the block
			}
			return errFold(b.Base(), fmt.Errorf("producer %d has no name", g.Producer))
		}
		if p.lastBase != b.Base() {
			p.prevBase, p.lastBase = g.Prev, b.Base()
		}
		p.next, p.epoch, p.recv, p.dirty = max(p.next, g.To+1), max(p.epoch, g.Epoch), b.RecvMax(), true
	}
	return nil
}

// numbers folds what producers were settled by a block of sealed records, which
// has no ranges. A producer that is not known had expired, or its dictionary
// record is lost.
func (r *recovery) numbers(b *Block) {
	for i := range b.Len() {
		if !b.Kind(i).Numbered() {
			continue
		}
		rec := b.Record(i)
		if p := r.producers[rec.Producer]; p != nil {
			p.next, p.recv, p.dirty = max(p.next, rec.To()+1), rec.Recv, true
		}
	}
}

func (r *recovery) record(rec *Record) error {
	p := r.producers[rec.Producer]
	switch rec.Kind {
	case KindAgentDict:
		if r.salvage && rec.Agent > 0 {
			r.l.agents.pad(rec.Agent - 1)
		}
		return r.l.agents.fold(rec.Agent, rec.Payload)
	case KindProducerDict:
		k, ok := decodeProducerKey(rec.Payload)
		if !ok {
			return fmt.Errorf("producer %d: its name is damaged", rec.Producer)
		}
		if p == nil {
			r.producers[rec.Producer] = &producer{key: k, num: rec.Producer, next: 1, recv: rec.Recv, dirty: true}
		}
	case KindFence:
		if p == nil || len(rec.Payload) < 8 {
			break
		}
		p.epoch, p.recv, p.dirty = max(p.epoch, binary.LittleEndian.Uint64(rec.Payload)), rec.Recv, true
	case KindExpired:
		if p != nil {
			delete(r.producers, rec.Producer)
			r.expired[rec.Producer] = p
		}
	case KindPos:
		if p != nil {
			p.pos, p.dirty = append([]byte(nil), rec.Payload...), true
		}
	}
	return nil
}
