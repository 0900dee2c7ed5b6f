package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"eyrie/wal/block"
)

// Open opens the log in o.Dir, or creates it. Before it returns, everything
// that the mark vouches for has been found again. Errors: ErrInUse,
// *NewerFormatError, *LostError (go on with Options.AcceptLoss), those of the
// file system and the store.
func Open(o Options) (*Log, error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	l, err := openOnce(o)
	var lost *LostError
	if !o.AcceptLoss || !errors.As(err, &lost) {
		return l, err
	}
	if err := acceptLoss(o, lost); err != nil {
		return nil, err
	}
	return openOnce(o)
}

func openOnce(o Options) (*Log, error) {
	l := newLog(o)
	if err := l.open(); err != nil {
		return nil, errors.Join(l.asLoss(err), l.abandon())
	}
	return l, nil
}

func newLog(o Options) *Log {
	l := &Log{o: o, dir: o.Dir, turns: newTurns(o.Processors), version: logVersionBegun, agents: newAgentTable(), producers: producerView{m: map[uint32]*ProducerState{}},
		work: make(chan work, 2*(groupBlocksMax+1)), encoded: make(chan *group, 1), free: make(chan *pebble.Batch, batches), synced: make(chan *group, syncedMax), done: make(chan struct{}), failed: make(chan struct{})}
	l.cache.most = o.CacheBytes
	l.sealer.wake = make(chan struct{}, 1)
	l.metrics = newMeters(o.Metrics, l)
	l.o.FS, l.closeWatch = withHealth(o.FS, l.storeEvents().DiskSlow)
	l.ballast = ballast{fs: l.o.FS, path: l.o.FS.PathJoin(o.Dir, ballastName), bytes: o.BallastBytes}
	l.o.FS = vfs.OnDiskFull(l.o.FS, l.diskFull)
	return l
}

// acceptLoss builds a store from what is left of a log that has lost something,
// beginning a new epoch, and a mark that agrees with it.
func acceptLoss(o Options, lost *LostError) error {
	l := newLog(o)
	l.o.atRest = true // the store's own work may meet what is damaged, and fail the log
	m, err := l.openStore()
	if err == nil || oserror.IsNotExist(err) || errors.Is(err, errMarkDamaged) {
		err = l.salvage(m, lost)
	}
	if err = errors.Join(err, l.abandon()); err != nil {
		return err
	}
	if _, err := install(o.FS, o.Dir); err != nil {
		return err
	}
	l = newLog(o)
	if _, err := l.openStore(); err != nil && !oserror.IsNotExist(err) && !errors.Is(err, errMarkDamaged) {
		return errors.Join(err, l.abandon())
	}
	return errors.Join(l.remark(), l.abandon())
}

// abandon closes what a failed open has opened.
func (l *Log) abandon() (err error) {
	if l.mark != nil {
		err = l.mark.close()
	}
	if l.db != nil {
		err = errors.Join(err, l.closeStore())
	}
	if l.lock != nil {
		err = errors.Join(err, l.lock.Close())
	}
	return errors.Join(err, l.closeWatch())
}

// openStore opens the store, behind the lock and the versions. The error may be
// the mark's own (missing or damaged), with the store open.
func (l *Log) openStore() (mark, error) {
	fs, store := l.o.FS, l.o.FS.PathJoin(l.dir, storeName)
	if _, err := install(fs, l.dir); err != nil {
		return mark{}, fmt.Errorf("put the salvaged store in place: %w", err)
	}
	if err := makeDirs(fs, l.dir, store, l.o.faults); err != nil {
		return mark{}, err
	}
	lock, err := pebble.LockDirectory(store, fs)
	if err != nil {
		return mark{}, fmt.Errorf("%w: %s: %w", ErrInUse, l.dir, err)
	}
	l.lock = lock
	if err := errors.Join(fs.RemoveAll(fs.PathJoin(l.dir, stageName)), fs.RemoveAll(fs.PathJoin(l.dir, verifyName)), fs.RemoveAll(fs.PathJoin(l.dir, partName))); err != nil {
		return mark{}, err
	}
	m, markErr := readMark(fs, l.dir)
	var newer *NewerFormatError
	if errors.As(markErr, &newer) {
		return m, newer
	}
	if err := checkStoreFormat(fs, store); err != nil {
		return m, err
	}
	if err := l.ballast.find(); err != nil {
		return m, err
	}
	if err := l.roomToRecover(); err != nil {
		return m, err
	}
	db, err := l.openPebble(store, l.storeOptions(lock))
	if err != nil {
		// Not wrapped: a file that is missing here is not the mark.
		return m, fmt.Errorf("open the log's store: %v", err)
	}
	l.db = db
	if err := l.Err(); err != nil {
		return m, err
	}
	return m, markErr
}

func (l *Log) open() error {
	m, markErr := l.openStore()
	noMark := oserror.IsNotExist(markErr) || errors.Is(markErr, errMarkDamaged)
	if markErr != nil && !noMark {
		return markErr
	}
	if err := l.checkSequence(m); err != nil {
		return err
	}
	created, err := l.identify()
	if err != nil {
		return err
	}
	empty, err := l.empty()
	if err != nil {
		return err
	}
	switch {
	case created && (!empty || m.next > 1):
		lost := &LostError{Epoch: m.epoch, Reason: "the store has forgotten which log it is, so it has lost its first writes"}
		if m.next > 1 {
			lost.From, lost.To = 1, m.next-1
		}
		return lost
	case created:
		return l.create(&recovery{l: l})
	case noMark:
		return &LostError{Reason: "the mark is gone, so nothing vouches for the log's end: " + markErr.Error()}
	case m.log != l.id:
		return fmt.Errorf("the mark is that of log %x, the store that of log %x", m.log, l.id)
	}
	return l.recover(&recovery{l: l, mark: m})
}

// checkSequence finds a store that has lost the end of its MANIFEST: its tables
// hold sequence numbers that it believes it has not given out. It would hide
// those keys, some of a table and not others, until it gives them out again.
func (l *Log) checkSequence(m mark) error {
	b := l.db.NewBatch()
	defer b.Close()
	// Tells the next sequence number and adds no key: a key written to such a
	// store may meet itself under the same number, and the store panics.
	if err := b.LogData([]byte("eyrie"), nil); err != nil {
		return err
	}
	if err := errors.Join(l.db.Apply(b, pebble.NoSync), l.Err()); err != nil {
		return err
	}
	levels, err := l.db.SSTables()
	if err != nil {
		return err
	}
	for _, tables := range levels {
		for _, t := range tables {
			if t.LargestSeqNum >= b.SeqNum() {
				return &LostError{Epoch: m.epoch, Reason: "the store has lost the end of its MANIFEST and hides some of its keys"}
			}
		}
	}
	return nil
}

// makeDirs creates the folders and makes their names durable.
func makeDirs(fs vfs.FS, dir, store string, fl *faults) error {
	var parents []string
	for p := store; ; {
		if _, err := fs.Stat(p); err == nil {
			break
		} else if !oserror.IsNotExist(err) {
			return fmt.Errorf("the log's folder: %w", err)
		}
		up := fs.PathDir(p)
		if up == p {
			break
		}
		parents = append(parents, up)
		p = up
	}
	if err := fs.MkdirAll(store, 0o755); err != nil {
		return fmt.Errorf("create the log's folder: %w", err)
	}
	for _, p := range parents {
		if fl.skipParentDirSync {
			break
		}
		if err := syncDir(fs, p); err != nil {
			return err
		}
	}
	return nil
}

// identify reads the log's id and version; created tells that there is none.
func (l *Log) identify() (created bool, err error) {
	err = l.get([]byte(metaLog), func(v []byte) error {
		if len(v) != 20 {
			return errors.New("the log's id is damaged")
		}
		if got := binary.LittleEndian.Uint32(v); got > logVersion {
			return &NewerFormatError{What: "log", Got: uint64(got), Most: logVersion}
		}
		l.version = binary.LittleEndian.Uint32(v)
		copy(l.id[:], v[4:])
		return nil
	})
	if errors.Is(err, pebble.ErrNotFound) {
		return true, nil
	}
	return false, err
}

// empty tells that no block is there, and nothing is sealed.
func (l *Log) empty() (bool, error) {
	if sealed, err := l.anySealed(); sealed || err != nil {
		return false, err
	}
	it, err := l.headers(0, 0)
	if err != nil {
		return false, err
	}
	none := !it.First()
	return none, errors.Join(it.Error(), it.Close())
}

// create makes a new log: first the mark, then the id, so that an id without a
// mark tells that the mark was lost.
func (l *Log) create(r *recovery) (err error) {
	if err := l.newID(); err != nil {
		return err
	}
	if l.mark, err = createMark(l.o.FS, l.dir, mark{log: l.id, epoch: 1, next: 1}, l.o.faults); err != nil {
		return err
	}
	l.epochs = []EpochStart{{Epoch: 1, First: 1, Begun: l.o.Now().UnixNano(), Reason: "created"}}
	if err := errors.Join(l.cursors.load(l.db), l.holds.load(l.db)); err != nil {
		return err
	}
	b := l.db.NewBatch()
	defer b.Close()
	if err := errors.Join(b.Set([]byte(metaLog), l.idValue(), nil), setEpoch(b, l.epochs[0])); err != nil {
		return err
	}
	if err := l.db.Apply(b, pebble.Sync); err != nil {
		return err
	}
	if err := l.Err(); err != nil {
		return err
	}
	c := checkpoint{next: 1, free: 1}
	if err := r.loadDigests(c.next); err != nil {
		return err
	}
	return l.start(r, c)
}

func (l *Log) newID() error {
	_, err := io.ReadFull(l.o.Rand, l.id[:])
	return err
}

func (l *Log) idValue() []byte {
	return append(binary.LittleEndian.AppendUint32(nil, l.version), l.id[:]...)
}

// start starts the goroutines behind the writer, and the one that seals.
func (l *Log) start(r *recovery, c checkpoint) error {
	if err := errors.Join(l.dropLeftovers(), l.endRewrites(), l.redrop(), l.sealer.prepare(l)); err != nil {
		return err
	}
	if l.digestsFrom = r.from; r.from == noDigests {
		l.digestsFrom = r.next()
	}
	l.digests.Store(&DigestsAt{Next: r.next(), Digests: digestsOf(maps.Values(r.producers), r.unnumbered)})
	w := &Writer{l: l, unnumbered: r.unnumbered, byKey: map[ProducerKey]*producer{}, next: r.next(), recv: max(c.recv, r.recv), free: max(c.free, 1),
		ckptAgent: int(c.agents), hint: 16 << 10, hintRows: 128, grp: &group{first: r.next()}}
	w.cur = block.NewBuilder(w.next, w.hintRows, w.hint)
	for _, num := range slices.Sorted(maps.Keys(r.producers)) { // in order, so that equal logs go on alike
		pr := r.producers[num]
		w.addProducer(pr)
		if pr.dirty {
			w.dirty = append(w.dirty, pr)
		}
		l.producers.m[pr.num] = &ProducerState{Num: pr.num, Key: pr.key, Epoch: pr.epoch, Next: pr.next, Recv: pr.recv}
	}
	for _, pr := range r.expired {
		w.free = max(w.free, pr.num+1)
		pr.dirty = false // whatever its last records made of it
		w.touch(pr)      // the checkpoint has it still
	}
	l.writer = w
	l.durable.Store(w.next)
	w.checkDisk()
	for range batches {
		l.free <- l.db.NewBatch(pebble.WithMaxRetainedSizeBytes(batchKept))
	}
	for _, stage := range []func(){func() { l.encodeLoop(r.digest) }, l.commitLoop, l.markLoop} {
		go func() {
			if l.o.Thread != nil {
				l.o.Thread()
			}
			stage()
		}()
	}
	go l.sealer.run()
	return nil
}

// recover finds the log's state again and checks it against the mark.
func (l *Log) recover(r *recovery) (err error) {
	c, err := l.rebuild(r)
	if err != nil {
		return err
	}
	if l.mark, err = openMark(l.o.FS, l.dir, r.mark, l.o.faults); err != nil {
		return err
	}
	// What lies behind the mark was never acknowledged and is here: keep it.
	if r.mark.next != r.next() {
		if err := l.mark.write(mark{log: l.id, epoch: l.Epoch(), next: r.next(), digest: r.digest}); err != nil {
			return err
		}
	}
	return l.start(r, c)
}

// rebuild loads the tables and walks the newest blocks.
func (l *Log) rebuild(r *recovery) (c checkpoint, err error) {
	if err := errors.Join(l.loadEpochs(), l.loadHoles(), l.cursors.load(l.db), l.loadStretches(), l.holds.load(l.db)); err != nil {
		return c, err
	}
	if len(l.epochs) == 0 {
		return c, &LostError{Epoch: r.mark.epoch, Reason: "the log's table of epochs is empty"}
	}
	err = l.get([]byte(metaCheckpoint), c.decode)
	if errors.Is(err, pebble.ErrNotFound) {
		c, err = checkpoint{next: 1, free: 1}, nil
	}
	if err != nil {
		return c, err
	}
	if err := errors.Join(r.tables(), r.loadDigests(c.next)); err != nil {
		return c, err
	}
	return c, r.walk(c)
}

// remark makes a mark for a store that was put together again.
func (l *Log) remark() error {
	created, err := l.identify()
	if err != nil {
		return err
	}
	if created {
		return errors.New("the salvaged store has no id")
	}
	r := &recovery{l: l}
	if _, err := l.rebuild(r); err != nil {
		return err
	}
	mf, err := createMark(l.o.FS, l.dir, mark{log: l.id, epoch: l.Epoch(), next: r.next(), digest: r.digest}, l.o.faults)
	l.mark = mf
	return err
}

// An epoch's value: first 8, begun 8, reason. A hole's: to 8, epoch 4, reason.

func (e *EpochStart) encode() []byte {
	p := binary.LittleEndian.AppendUint64(nil, e.First)
	p = binary.LittleEndian.AppendUint64(p, uint64(e.Begun))
	return append(p, e.Reason...)
}

func setEpoch(b *pebble.Batch, e EpochStart) error {
	return b.Set(key4(prefixEpoch, e.Epoch), e.encode(), nil)
}

func (l *Log) loadEpochs() error {
	return scan(l.db, prefixEpoch, func(k, v []byte) error {
		if len(k) != 5 || len(v) < 16 {
			return errors.New("the log's table of epochs is damaged")
		}
		le := binary.LittleEndian
		l.epochs = append(l.epochs, EpochStart{Epoch: binary.BigEndian.Uint32(k[1:]), First: le.Uint64(v), Begun: int64(le.Uint64(v[8:])), Reason: string(v[16:])})
		return nil
	})
}

func (h *Hole) encode() []byte {
	p := binary.LittleEndian.AppendUint64(nil, h.To)
	p = binary.LittleEndian.AppendUint32(p, h.Epoch)
	return append(p, h.Reason...)
}

// DecodeHole reads the hole that a record of kind Hole tells of.
func DecodeHole(r *Record) (Hole, bool) {
	if r.Kind != KindHole || len(r.Payload) < 12 {
		return Hole{}, false
	}
	le := binary.LittleEndian
	return Hole{From: r.Seq, To: le.Uint64(r.Payload), Epoch: le.Uint32(r.Payload[8:]), Reason: string(r.Payload[12:])}, true
}

func (l *Log) loadHoles() error {
	return scan(l.db, prefixHole, func(k, v []byte) error {
		h, ok := DecodeHole(&Record{Kind: KindHole, Seq: baseIn(k), Payload: v})
		if !ok {
			return errors.New("the log's table of holes is damaged")
		}
		l.addHole(h)
		return nil
	})
}

func (l *Log) addHole(h Hole) {
	i := len(l.holes)
	for i > 0 && l.holes[i-1].From > h.From {
		i--
	}
	l.holes = append(l.holes[:i], append([]Hole{h}, l.holes[i:]...)...)
}

// scan calls fn for each key below the prefix, in order.
func scan(db *pebble.DB, prefix byte, fn func(k, v []byte) error) error {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefix}, UpperBound: []byte{prefix + 1}})
	if err != nil {
		return err
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		var v []byte
		if v, err = it.ValueAndErr(); err == nil {
			err = fn(it.Key(), v)
		}
	}
	return errors.Join(err, it.Error(), it.Close())
}
