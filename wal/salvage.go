package wal

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"eyrie/wal/block"
	"eyrie/wal/stretch"
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
	// All that is put there is intact, and it may be much: the store has to merge meanwhile.
	o := l.storeOptions(nil)
	o.DisableAutomaticCompactions = false
	to, err := l.openPebble(part, o)
	if err != nil {
		return fmt.Errorf("salvage: %w", err)
	}
	s := &salvager{l: l, to: to, r: recovery{l: l, mark: m, salvage: true}}
	if err = s.run(first); err == nil {
		err = l.Err()
	}
	if err = errors.Join(err, to.Close()); err != nil {
		return fmt.Errorf("salvage: %w", errors.Join(err, fs.RemoveAll(part)))
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
	l       *Log
	to      *pebble.DB
	r       recovery
	batch   *pebble.Batch
	holes   []Hole
	trimmed *trimmed // nil for nothing
	// refold: the tables cannot be read and are folded from the first record on
	refold bool
}

func (s *salvager) run(first *LostError) error {
	r := &s.r
	c, err := s.load()
	if err != nil {
		return err
	}
	// What retention has forgotten is no loss.
	if t, err := s.l.trimmed(); err == nil && t.next > 1 {
		r.end, r.digest, s.trimmed = t.next, t.digest, &t
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

// load reads the tables, or as much of them as can be read: agents and producers
// are folded from the records where they cannot.
func (s *salvager) load() (c checkpoint, err error) {
	l, r := s.l, &s.r
	l.epochs, l.holes, l.agents = nil, nil, newAgentTable()
	created, err := l.identify()
	if created = created || pebble.IsCorruptionError(err); created {
		if l.id, err = r.mark.log, nil; r.mark.generation == 0 {
			err = l.newID()
		}
	}
	if err != nil {
		return c, err
	}
	for _, load := range []func() error{l.loadEpochs, l.loadHoles, func() error { return l.cursors.load(l.db) }} {
		if err := load(); err != nil && !pebble.IsCorruptionError(err) {
			return c, err
		}
	}
	if len(l.epochs) == 0 && r.mark.epoch != 0 {
		l.epochs = []EpochStart{{Epoch: r.mark.epoch, First: 1, Reason: "where it began was lost"}}
	}
	err = errors.Join(r.tables(), l.get([]byte(metaCheckpoint), c.decode))
	switch {
	case pebble.IsCorruptionError(err):
		s.refold, c, l.agents = true, checkpoint{}, newAgentTable()
		r.producers, r.expired = map[uint32]*producer{}, map[uint32]*producer{}
	case err != nil && !errors.Is(err, pebble.ErrNotFound):
		return c, err
	}
	return c, nil
}

// fold takes the records of a stretch into tables that are folded anew.
func (s *salvager) fold(st *Stretch) error {
	w, err := s.l.decodeWhole(st, s.l.chunk)
	if err != nil {
		return nil // its index was read: what is left of it is copied
	}
	for off := st.Base; ; {
		b := w.block(off)
		if b == nil {
			return nil
		}
		if err := s.r.foldBlock(b); err != nil {
			return err
		}
		off = b.Next()
	}
}

// stretches copies what is sealed: each stretch whose summary and index are
// intact, with those of its chunks that can be read. One that is damaged inside is
// copied as it is, and named to who reads it.
func (s *salvager) stretches() error {
	return s.each(prefixStretch, s.stretch)
}

// each calls fn for each key below the prefix that can be read, from where the
// copy stands.
func (s *salvager) each(prefix byte, fn func(it *pebble.Iterator) error) error {
	for from := s.r.next(); ; {
		it, err := s.l.db.NewIter(&pebble.IterOptions{LowerBound: key8(prefix, from), UpperBound: []byte{prefix + 1}})
		if err != nil {
			return err
		}
		for ok := it.First(); ok && err == nil; ok = it.Next() {
			from = baseIn(it.Key()[:9])
			err = fn(it)
		}
		bad := it.Error()
		cerr := it.Close() // says the same again
		switch {
		case err != nil:
			return err
		case bad == nil:
			return cerr
		case !pebble.IsCorruptionError(bad):
			return bad
		}
		var ok bool
		if from, ok = s.l.behind(prefix, from); !ok {
			return nil // the hole shows at what follows, or at the end
		}
	}
}

// stretch copies the one whose summary it stands on.
func (s *salvager) stretch(it *pebble.Iterator) error {
	l, r := s.l, &s.r
	k, st := it.Key(), Stretch{}
	if len(k) != 10 || k[9] != partSummary || baseIn(k[:9]) < r.next() || st.decode(baseIn(k[:9]), it.Value()) != nil {
		return nil // the hole shows at what follows
	}
	x, err := l.index(&st)
	if err != nil {
		return nil
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
	for _, k := range copies {
		if err := l.get(k, func(v []byte) error { return s.batch.Set(k, v, nil) }); err != nil && !damaged(err) {
			return err // what cannot be read here cannot be read there
		}
	}
	if err := errors.Join(s.chunks(&st, x), s.spill()); err != nil {
		return err
	}
	if s.refold {
		return s.fold(&st)
	}
	return nil
}

// chunks copies those that can be read, into tables of their own, as sealing makes them: so what
// is dropped or forgotten of them goes with its files.
func (s *salvager) chunks(st *Stretch, x *stretch.Index) (err error) {
	l := s.l
	fs, dir := l.o.FS, l.o.FS.PathJoin(l.dir, sealFolder)
	if err := errors.Join(fs.RemoveAll(dir), fs.MkdirAll(dir, 0o755)); err != nil {
		return err
	}
	t := tables{l: l, dir: dir}
	defer func() { err = errors.Join(err, t.close(), fs.RemoveAll(dir)) }()
	tier := -1 // of the table being written
	for i := range x.Chunks {
		c := &x.Chunks[i]
		k := st.chunkKey(c.Tier, c.No)
		err := l.get(k, func(v []byte) error {
			if tier != int(c.Tier) {
				tier = int(c.Tier)
				if err := t.begin(); err != nil {
					return err
				}
			}
			return t.set(k, v)
		})
		if err != nil && !damaged(err) {
			return err
		}
	}
	if err := t.end(); err != nil || len(t.paths) == 0 {
		return err
	}
	return s.to.Ingest(context.Background(), t.paths)
}

// blocks copies what is intact, in order, and notes the holes between.
func (s *salvager) blocks() error {
	var value []byte
	return s.each(prefixHeader, func(it *pebble.Iterator) error { return s.block(it, &value) })
}

// block copies the one whose header it stands on.
func (s *salvager) block(it *pebble.Iterator, value *[]byte) error {
	l, r := s.l, &s.r
	var h block.Header
	if headerAt(it, &h) != nil || h.LogID != l.id || h.Base < r.next() {
		return nil // the hole shows at the next intact block
	}
	*value = append((*value)[:0], it.Value()...)
	if err := block.DecodeHeader(*value, &h); err != nil {
		return err
	}
	if _, err := l.loadBody(&h); err != nil {
		if !damaged(err) {
			return err // what cannot be read just now is not lost
		}
		return nil
	}
	if h.Base > r.next() {
		s.hole(r.next(), h.Base-1, "no intact block holds them")
	}
	if err := r.fold(&h); err != nil {
		return err
	}
	digest := block.Restamp(*value, &h, r.digest)
	r.end, r.digest, r.recv = h.Next(), digest, max(r.recv, h.RecvMax)
	err := l.get(key8(prefixBody, h.Base), func(body []byte) error {
		return errors.Join(s.batch.Set(it.Key(), *value, nil), s.batch.Set(key8(prefixBody, h.Base), body, nil))
	})
	if err != nil {
		return err
	}
	err = l.get(key8(prefixAmend, h.Base), func(v []byte) error { return s.batch.Set(key8(prefixAmend, h.Base), v, nil) })
	if err != nil && !damaged(err) {
		return err
	}
	return s.spill()
}

// spill writes the batch where it has grown large.
func (s *salvager) spill() error {
	if s.batch.Len() > 4<<20 {
		return s.write(pebble.NoSync)
	}
	return nil
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
	r.forgetDigests() // they are of what may be lost
	free := max(c.free, 1)
	for n, p := range r.producers {
		free = max(free, n+1)
		ops = append(ops, op{key4(prefixProducer, n), p.encode(nil)})
	}
	for n := range r.expired {
		free = max(free, n+1)
	}
	err := scan(l.db, prefixHold, func(k, v []byte) error {
		ops = append(ops, op{slices.Clone(k), slices.Clone(v)})
		return nil
	})
	if err != nil && !pebble.IsCorruptionError(err) {
		return err
	}
	end := checkpoint{next: blk.Next(), recv: blk.RecvMax(), agents: uint32(len(l.agents.names)), free: free}
	ops = append(ops, op{[]byte(metaCheckpoint), end.encode()})
	if s.trimmed != nil {
		ops = append(ops, op{[]byte(metaTrimmed), s.trimmed.encode()})
	}
	ops = putDigests(ops, block.Digest{}, end.next, end.next)
	for _, o := range ops {
		if err := s.batch.Set(o.key, o.value, nil); err != nil {
			return err
		}
	}
	return s.write(pebble.Sync)
}
