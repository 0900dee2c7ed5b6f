package wal

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"eyrie/wal/block"
)

// A store that has lost something cannot be trusted to stay as it is read once:
// after a damaged MANIFEST it hides records that come back later. So accepting
// a loss means putting what is intact into a store of its own:
//
//	store.part   being written; worthless after a crash
//	store.new    complete; Open puts it in place of store
//	store.lost   what was found, kept for who wants to dig; the last one only
const (
	partName = storeName + ".part"
	newName  = storeName + ".new"
	lostName = storeName + ".lost"
)

// salvage builds the new store from the open one, whose loss is first.
func (l *Log) salvage(m mark, first *LostError) error {
	fs := l.o.FS
	part := fs.PathJoin(l.dir, partName)
	if err := fs.RemoveAll(part); err != nil {
		return err
	}
	if err := fs.MkdirAll(part, 0o755); err != nil {
		return err
	}
	to, err := pebble.Open(part, l.storeOptions(nil))
	if err != nil {
		return fmt.Errorf("salvage: %w", err)
	}
	s := &salvager{l: l, to: to, r: recovery{l: l, mark: m, salvage: true}}
	if err = s.run(first); err == nil {
		err = l.Err()
	}
	if err = errors.Join(err, to.Close()); err != nil {
		return fmt.Errorf("salvage: %w", err)
	}
	if err := fs.Rename(part, fs.PathJoin(l.dir, newName)); err != nil {
		return err
	}
	return syncDir(fs, l.dir)
}

// install puts a complete new store in place, if there is one.
func install(fs vfs.FS, dir string) (bool, error) {
	at := func(name string) string { return fs.PathJoin(dir, name) }
	if _, err := fs.Stat(at(newName)); oserror.IsNotExist(err) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	if _, err := fs.Stat(at(storeName)); err == nil {
		if err := fs.RemoveAll(at(lostName)); err != nil {
			return false, err
		}
		if err := fs.Rename(at(storeName), at(lostName)); err != nil {
			return false, err
		}
		if err := syncDir(fs, dir); err != nil {
			return false, err
		}
	}
	if err := fs.Rename(at(newName), at(storeName)); err != nil {
		return false, err
	}
	return true, syncDir(fs, dir)
}

type salvager struct {
	l     *Log
	to    *pebble.DB
	r     recovery
	batch *pebble.Batch
	holes []Hole
}

func (s *salvager) run(first *LostError) error {
	l, r := s.l, &s.r
	l.epochs, l.holes, l.agents = nil, nil, newAgentTable()
	if err := errors.Join(l.loadEpochs(), l.loadHoles(), l.cursors.load(l.db), r.tables()); err != nil {
		return err
	}
	created, err := l.identify()
	if err != nil {
		return err
	}
	if created {
		if l.id = r.mark.log; r.mark.generation == 0 {
			if err := l.newID(); err != nil {
				return err
			}
		}
	}
	var c checkpoint
	if err := l.get([]byte(metaCheckpoint), c.decode); err != nil && !errors.Is(err, pebble.ErrNotFound) {
		return err
	}
	s.batch = s.to.NewBatch()
	defer func() { _ = s.batch.Close() }()
	if err := errors.Join(s.stretches(), s.blocks()); err != nil {
		return err
	}
	// What was given out behind the last intact block is lost as well.
	if most := max(r.mark.next, c.next); most > r.next() {
		s.hole(r.next(), most-1, "the mark or the checkpoint vouched for them")
	}
	return s.finish(first, c)
}

// stretches copies what is sealed: each stretch whose summary and index are
// intact, with those of its chunks that can be read. One that is damaged inside is
// copied as it is, and named to who reads it.
func (s *salvager) stretches() (err error) {
	l, r := s.l, &s.r
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixStretch}, UpperBound: []byte{prefixStretch + 1}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		k, st := it.Key(), Stretch{}
		if len(k) != 10 || k[9] != partSummary || baseIn(k[:9]) < r.next() || st.decode(baseIn(k[:9]), it.Value()) != nil {
			continue // the hole shows at what follows
		}
		x, err := l.index(&st)
		if err != nil {
			continue
		}
		if st.Base > r.next() {
			s.hole(r.next(), st.Base-1, "no intact stretch or block holds them")
		}
		st.chain = r.digest
		r.end, r.digest, r.recv = st.Next, st.digest, max(r.recv, st.RecvMax)
		if err := s.batch.Set(k, st.encode(), nil); err != nil {
			return err
		}
		copies := [][]byte{stretchKey(st.Base, partIndex), key8(prefixDrop, st.Base)}
		for i := range x.KeyPages() {
			copies = append(copies, pageKey(st.Base, i))
		}
		for i := range x.Chunks {
			copies = append(copies, st.chunkKey(x.Chunks[i].Tier, x.Chunks[i].No))
		}
		for _, k := range copies {
			if err := l.get(k, func(v []byte) error { return s.batch.Set(k, v, nil) }); err != nil {
				continue // what cannot be read here cannot be read there
			}
			if s.batch.Len() > 4<<20 {
				if err := s.write(pebble.NoSync); err != nil {
					return err
				}
			}
		}
	}
	return it.Error()
}

// blocks copies what is intact, in order, and notes the holes between.
func (s *salvager) blocks() (err error) {
	l, r := s.l, &s.r
	it, err := l.headers(r.next(), 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	var value []byte
	for ok := it.First(); ok; ok = it.Next() {
		var h block.Header
		if headerAt(it, &h) != nil || h.LogID != l.id || h.Base < r.next() {
			continue // the hole shows at the next intact block
		}
		value = append(value[:0], it.Value()...)
		if err := block.DecodeHeader(value, &h); err != nil {
			return err
		}
		if _, err := l.loadBody(&h); err != nil {
			continue
		}
		if h.Base > r.next() {
			s.hole(r.next(), h.Base-1, "no intact block holds them")
		}
		if err := r.fold(&h); err != nil {
			return err
		}
		digest := block.Restamp(value, &h, r.digest)
		r.end, r.digest, r.recv = h.Next(), digest, max(r.recv, h.RecvMax)
		err := l.get(key8(prefixBody, h.Base), func(body []byte) error {
			return errors.Join(s.batch.Set(it.Key(), value, nil), s.batch.Set(key8(prefixBody, h.Base), body, nil))
		})
		if err != nil {
			return err
		}
		if s.batch.Len() > 4<<20 {
			if err := s.write(pebble.NoSync); err != nil {
				return err
			}
		}
	}
	return it.Error()
}

func (s *salvager) write(o *pebble.WriteOptions) error {
	err := errors.Join(s.to.Apply(s.batch, o), s.batch.Close())
	s.batch = s.to.NewBatch()
	return err
}

func (s *salvager) hole(from, to uint64, reason string) {
	for _, h := range s.l.holes {
		if h.From <= from && h.To >= to {
			return // known already
		}
	}
	s.holes = append(s.holes, Hole{From: from, To: to, Epoch: s.r.mark.epoch, Reason: reason})
}

// finish writes tables, epoch, holes and the records that tell of them.
func (s *salvager) finish(first *LostError, c checkpoint) error {
	l, r := s.l, &s.r
	epoch := r.mark.epoch
	for _, e := range l.epochs {
		epoch = max(epoch, e.Epoch)
	}
	now := l.o.Now().UnixNano()
	l.epochs = append(l.epochs, EpochStart{Epoch: epoch + 1, First: r.next(), Begun: now, Reason: first.Error()})
	if len(s.holes) == 0 {
		s.holes = []Hole{{From: first.From, To: first.To, Epoch: first.Epoch, Reason: first.Reason}}
	}
	b := block.NewBuilder(r.next(), len(s.holes), 0)
	for _, h := range s.holes {
		p := h.encode()
		if !b.Fits(len(p)) {
			break // a block's worth of holes; the table has them all
		}
		b.Append(&Record{Kind: KindHole, Seq: h.From, Recv: max(now, r.recv, c.recv), Payload: p}, -1)
	}
	blk := b.Block()
	var enc block.Encoder
	body := enc.Body(nil, blk)
	head, _ := block.EncodeHeader(nil, blk, body, block.Stamp{LogID: l.id, Epoch: epoch + 1, Chain: r.digest})
	ops := []op{{key8(prefixHeader, blk.Base()), head}, {key8(prefixBody, blk.Base()), body}, {[]byte(metaLog), l.idValue()}}
	for _, e := range l.epochs {
		ops = append(ops, op{key4(prefixEpoch, e.Epoch), e.encode()})
	}
	for _, h := range append(l.holes, s.holes...) {
		if h.From > 0 && h.To < r.next() { // else its offsets are given out again
			ops = append(ops, op{key8(prefixHole, h.From), h.encode()})
		}
	}
	for name, off := range l.cursors.m {
		l.cursors.m[name] = min(off, r.next())
		l.cursors.dirty[name] = true
	}
	ops = l.cursors.take(ops)
	for i, a := range l.agents.names {
		ops = append(ops, op{key4(prefixAgent, uint32(i+1)), appendString(appendString(nil, a.space), a.id)})
	}
	free := max(c.free, 1)
	for n, p := range r.producers {
		free = max(free, n+1)
		ops = append(ops, op{key4(prefixProducer, n), p.encode(nil)})
	}
	end := checkpoint{next: blk.Next(), recv: blk.RecvMax(), agents: uint32(len(l.agents.names)), free: free}
	ops = append(ops, op{[]byte(metaCheckpoint), end.encode()})
	for _, o := range ops {
		if err := s.batch.Set(o.key, o.value, nil); err != nil {
			return err
		}
	}
	return s.write(pebble.Sync)
}
