package wal

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"eyrie/wal/block"
)

// restoreName is the folder in which a restored data folder is put together.
const restoreName = "restore.part"

// RestoreOptions say what is restored and where to.
type RestoreOptions struct {
	From   string // folder of backups, on FromFS
	FromFS vfs.FS // default Log.FS
	Backup string // its name; "" is the newest
	// Data is the data folder to make, on Log.FS: empty, or not there yet, but
	// for what an earlier restore left that did not end.
	Data string
	// ToOffset is the last offset to keep; 0 is all of them.
	ToOffset uint64
	// ToTime keeps records up to this recv, Unix ns; 0 is all of them.
	ToTime int64
	// Log are the options of the log in it; Dir is not read.
	Log Options
	// Progress, if set, is called as files are copied, with bytes.
	Progress func(done, total int64)
}

// RestoreResult tells what was restored, and what was not.
type RestoreResult struct {
	Backup *Backup
	Epoch  uint32 // the new one
	Next   uint64 // where it begins: the first offset to be given out
	Recv   int64  // of the last record kept, Unix ns; 0 for none
	// Dropped is what the backup holds behind the point in time.
	Dropped Dropped
	Took    time.Duration // by Options.Now
}

// Dropped are records that a restore to a point in time leaves out.
type Dropped struct {
	From, To         uint64 // offsets; zero for nothing
	Records          uint64
	FromRecv, ToRecv int64          // Unix ns
	Kinds            map[string]int // how many of each
	Agents           []string       // seen first among them, space/id; the first droppedMax
	AgentCount       int
	Producers        []DroppedNumbers // the first droppedMax
	ProducerCount    int
}

// DroppedNumbers are the numbers of a producer that are not settled any more.
type DroppedNumbers struct {
	Producer ProducerKey
	From, To uint64
}

const droppedMax = 100

// ErrPoint is returned by Restore for a point in time that cannot be restored.
var ErrPoint = errors.New("no such point in time")

// ErrNotEmpty is returned by Restore for a folder that holds something.
var ErrNotEmpty = errors.New("the folder is not empty")

// Restore makes a data folder from a backup, whole or as it was at a point in
// time, beginning a new epoch. Every file is compared with its checksum, and the
// log with the backup's digest, before anything is left in place: an error
// leaves no log that opens. Errors: ErrNoBackup, ErrNotEmpty, *BackupDamage,
// *NewerFormatError, *LostError, those of the file system and the store.
func Restore(ctx context.Context, o RestoreOptions) (*RestoreResult, error) {
	o.Log.Dir = o.Data
	if err := o.Log.defaults(); err != nil {
		return nil, err
	}
	if o.FromFS == nil {
		o.FromFS = o.Log.FS
	}
	r := &restore{o: o, fs: o.Log.FS, begun: o.Log.Now(), res: &RestoreResult{}}
	if err := r.run(ctx); err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	r.res.Took = o.Log.Now().Sub(r.begun)
	return r.res, nil
}

// restore is one being made.
type restore struct {
	o     RestoreOptions
	fs    vfs.FS
	begun time.Time
	part  string
	b     *Backup
	mark  mark
	res   *RestoreResult
}

func (r *restore) run(ctx context.Context) (err error) {
	if r.b, err = OpenBackup(r.o.FromFS, r.o.From, r.o.Backup); err != nil {
		return err
	}
	r.res.Backup = r.b
	if r.mark, err = r.b.mark(); err != nil {
		return err
	}
	if r.o.ToOffset != 0 && r.o.ToOffset >= r.b.Next {
		return fmt.Errorf("%w: offset %d is behind the backup's end, its last is %d", ErrPoint, r.o.ToOffset, r.b.Next-1)
	}
	if err := r.prepare(); err != nil {
		return err
	}
	if err := r.copy(ctx); err != nil {
		return errors.Join(err, r.fs.RemoveAll(r.part))
	}
	if err := r.cut(ctx); err != nil {
		return errors.Join(err, r.fs.RemoveAll(r.part))
	}
	return r.install()
}

// mark returns what the manifest says of the log's end.
func (b *Backup) mark() (m mark, err error) {
	id, err := hex.DecodeString(b.Log)
	if err != nil || len(id) != len(m.log) {
		return m, fmt.Errorf("backup %s: %q is no log's id", b.Name, b.Log)
	}
	copy(m.log[:], id)
	m.epoch, m.next = b.Epoch, b.Next
	if m.digest, err = strconv.ParseUint(b.Digest, 16, 64); err != nil {
		return m, fmt.Errorf("backup %s: %q is no digest", b.Name, b.Digest)
	}
	return m, nil
}

// prepare makes sure that the data folder is there and holds nothing.
func (r *restore) prepare() error {
	if err := makePrivate(r.fs, r.o.Data); err != nil {
		return err
	}
	names, err := r.fs.List(r.o.Data)
	if err != nil {
		return err
	}
	for _, n := range names {
		if n != restoreName {
			return fmt.Errorf("%w: %s holds %s", ErrNotEmpty, r.o.Data, n)
		}
	}
	r.part = r.fs.PathJoin(r.o.Data, restoreName)
	return r.fs.RemoveAll(r.part)
}

// copy brings the files from the pool and compares each with its checksum.
func (r *restore) copy(ctx context.Context) error {
	buf, done, total := make([]byte, 1<<20), int64(0), r.b.Bytes()
	dirs := map[string]bool{}
	for i := range r.b.Files {
		f := &r.b.Files[i]
		to := r.fs.PathJoin(r.part, f.Name)
		if dir := r.fs.PathDir(to); !dirs[dir] {
			if err := makePrivate(r.fs, dir); err != nil {
				return err
			}
			dirs[dir] = true
		}
		err := readPooled(r.o.FromFS, r.o.From, r.b, f, func(src vfs.File) (int64, string, error) {
			return copyHashed(ctx, r.fs, to, src, buf, func(n int64) {
				if done += n; r.o.Progress != nil {
					r.o.Progress(done, total)
				}
			})
		})
		if err != nil {
			return err
		}
	}
	for dir := range dirs {
		if err := syncDir(r.fs, dir); err != nil {
			return err
		}
	}
	return nil
}

// readPooled hands a file of the pool to read, which returns its length and
// hash, and compares those.
func readPooled(fs vfs.FS, dir string, b *Backup, f *BackupFile, read func(src vfs.File) (int64, string, error)) error {
	damage := &BackupDamage{Backup: b.Name, File: fs.PathJoin(poolName, f.SHA256), Is: f.Name}
	src, err := fs.Open(fs.PathJoin(dir, damage.File))
	if oserror.IsNotExist(err) {
		damage.Msg = "is missing"
		return damage
	}
	if err != nil {
		return err
	}
	n, sum, err := read(src)
	if err = errors.Join(err, src.Close()); err != nil {
		return err
	}
	switch {
	case n != f.Size:
		damage.Msg = fmt.Sprintf("has %d bytes, %d expected", n, f.Size)
		return damage
	case sum != f.SHA256:
		damage.Msg = "is damaged: its checksum is not that of its content"
		return damage
	}
	return nil
}

// cut opens the copied store, cuts off what lies behind the point in time and
// begins the new epoch.
func (r *restore) cut(ctx context.Context) (err error) {
	o := r.o.Log
	o.Dir = r.fs.PathJoin(r.part, "log")
	if err := makePrivate(r.fs, o.Dir); err != nil { // a backup of an empty log has it all the same
		return err
	}
	mf, err := createMark(o.FS, o.Dir, r.mark, o.faults)
	if err != nil {
		return err
	}
	if err := mf.close(); err != nil {
		return err
	}
	l := newLog(o)
	defer func() { err = errors.Join(err, l.abandon()) }()
	if _, err := l.openStore(); err != nil {
		return err
	}
	if err := l.checkSequence(r.mark); err != nil {
		return err
	}
	created, err := l.identify()
	if err != nil {
		return err
	}
	if created || l.id != r.mark.log {
		return fmt.Errorf("backup %s: its store is of log %x", r.b.Name, l.id)
	}
	rec := &recovery{l: l, mark: r.mark}
	c, err := l.rebuild(rec)
	if err != nil {
		return err
	}
	l.durable.Store(r.mark.next)
	next, err := r.point(ctx, l)
	if err != nil {
		return err
	}
	t := &truncation{l: l, next: next, end: r.mark.next, was: c}
	if err := t.run(ctx); err != nil {
		return err
	}
	now := r.begun
	epoch := EpochStart{Epoch: nextEpoch(l.Epoch(), now), First: next, Begun: now.UnixNano(),
		Reason: fmt.Sprintf("restored from backup %s up to offset %d", r.b.Name, next-1)}
	if err := t.write(epoch); err != nil {
		return err
	}
	r.res.Epoch, r.res.Next, r.res.Recv, r.res.Dropped = epoch.Epoch, next, t.recv, t.dropped
	if mf, err = createMark(o.FS, o.Dir, mark{log: l.id, epoch: epoch.Epoch, next: next, digest: t.digest}, o.faults); err != nil {
		return err
	}
	return mf.close()
}

// nextEpoch is higher than the epochs before, and other than what another
// restore of the same backup began: cursors and clients know a history by it.
func nextEpoch(last uint32, now time.Time) uint32 {
	return uint32(max(int64(last)+1, min(now.Unix(), 1<<32-1<<20)))
}

// point returns the first offset to be cut off.
func (r *restore) point(ctx context.Context, l *Log) (uint64, error) {
	next := r.mark.next
	if r.o.ToOffset != 0 {
		next = r.o.ToOffset + 1
	}
	if r.o.ToTime != 0 {
		later, _, err := l.Find(ctx, Query{FromRecv: r.o.ToTime + 1, ToOffset: next, Limit: 1})
		if err != nil {
			return 0, err
		}
		if len(later) > 0 {
			next = later[0].Offset
		}
	}
	for _, h := range l.holes { // offsets of a hole are nothing to begin behind
		if h.From < next && next <= h.To+1 && h.To+1 < r.mark.next {
			next = h.From
		}
	}
	return next, nil
}

// install puts what was made in place: the log last.
func (r *restore) install() error {
	names, err := r.fs.List(r.part)
	if err != nil {
		return err
	}
	slices.SortFunc(names, func(a, b string) int { return bool2int(a == "log") - bool2int(b == "log") })
	for _, n := range names {
		if err := r.fs.Rename(r.fs.PathJoin(r.part, n), r.fs.PathJoin(r.o.Data, n)); err != nil {
			return err
		}
	}
	if err := syncDir(r.fs, r.o.Data); err != nil {
		return err
	}
	if err := r.fs.RemoveAll(r.part); err != nil {
		return err
	}
	return syncDir(r.fs, r.o.Data)
}

func bool2int(b bool) int {
	if b {
		return 1
	}
	return 0
}

// truncation cuts an open store, at rest, off at an offset.
type truncation struct {
	l    *Log
	next uint64 // first offset cut off
	end  uint64 // behind the last that counts
	was  checkpoint

	tables  recovery // at next
	partial *Block   // what is left of the block in which next lies
	opened  *Stretch // the sealed stretch in which next lies: it becomes blocks again
	blocks  []*Block // those
	base    uint64   // of the first block that goes, or is written anew
	digest  uint64   // of all headers up to next
	recv    int64
	upon    bool // the tables begin with their checkpoint
	dropped Dropped
}

// run finds out what is to be written.
func (t *truncation) run(ctx context.Context) error {
	if list := t.l.Stretches(); t.l.First() > 1 && len(list) > 0 && t.next < list[0].Next {
		return fmt.Errorf("%w: retention had left the log from offset %d on; the first point is %d", ErrPoint, list[0].Base, list[0].Next-1)
	}
	some := t.l.First() > 1 // something was dropped by retention
	for _, st := range t.l.Stretches() {
		if some = some || st.Dropped != 0; st.Dropped != 0 && st.Next > t.next {
			return fmt.Errorf("%w: when the backup was made, retention had dropped records behind offset %d, up to %d", ErrPoint, t.next-1, st.Next-1)
		}
	}
	if err := t.fold(ctx, some); err != nil {
		return err
	}
	if some && !t.upon {
		if err := t.mend(ctx); err != nil {
			return err
		}
	}
	return t.look(ctx)
}

// mend gives the tables, folded from a log of which retention has dropped some,
// what their checkpoint says, less what lies between the cut and that. A
// producer's epoch may come out higher than it was, which fences no life that
// is; one that expired in between may be forgotten already.
func (t *truncation) mend(ctx context.Context) error {
	stored := recovery{l: &Log{o: t.l.o, db: t.l.db, agents: newAgentTable()}}
	if err := stored.tables(); err != nil {
		return err
	}
	agents := uint32(len(stored.l.agents.names))
	first := map[uint32]uint64{}                                                   // numbers
	made, fenced, moved := map[uint32]bool{}, map[uint32]bool{}, map[uint32]bool{} // producers
	err := t.read(ctx, t.next, t.was.next, func(b *Block) error {
		for i := range b.Len() {
			rec := b.Record(i)
			if rec.Offset < t.next {
				continue
			}
			if _, ok := first[rec.Producer]; rec.Kind.Numbered() && !ok {
				first[rec.Producer] = rec.Seq
			}
			switch rec.Kind {
			case KindAgentDict:
				agents = min(agents, rec.Agent-1)
			case KindProducerDict:
				made[rec.Producer] = true
			case KindFence:
				fenced[rec.Producer] = true
			case KindPos:
				moved[rec.Producer] = true
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	names := newAgentTable()
	for _, a := range stored.l.agents.names[:agents] {
		names.add(a.space, a.id)
	}
	t.tables.l.agents = names
	for n, s := range stored.producers {
		if made[n] {
			continue
		}
		p := t.tables.producers[n]
		if p == nil {
			p = &producer{key: s.key, num: n, recv: s.recv}
			t.tables.producers[n] = p
		}
		if !fenced[n] || p.epoch == 0 {
			p.epoch = s.epoch
		}
		if !moved[n] {
			p.pos = s.pos
		}
		p.next = s.next
		if seq, ok := first[n]; ok {
			p.next = seq
		}
	}
	return nil
}

// fold brings the tables to where next is: from their checkpoint, or where that
// lies behind, from the log's beginning. some: not all of it is there.
func (t *truncation) fold(ctx context.Context, some bool) error {
	l := t.l
	at := &Log{o: l.o, db: l.db, agents: newAgentTable()}
	t.tables = recovery{l: at, salvage: some || len(l.holes) > 0, producers: map[uint32]*producer{}, expired: map[uint32]*producer{}}
	t.base = t.next
	var out *unsealing
	if st, ok := l.stretchAt(t.next); ok && st.Base < t.next {
		t.opened, t.base = &st, st.Base
		out = &unsealing{epochs: l.epochs}
	}
	from := uint64(1)
	if t.upon = t.was.next <= t.base; t.upon {
		if err := t.tables.tables(); err != nil {
			return err
		}
		from, t.recv = t.was.next, t.was.recv
	}
	if err := t.tables.loadDigests(t.was.next); err != nil {
		return err
	}
	if !t.upon {
		if t.tables.forgetDigests(); some {
			t.tables.from = noDigests // what they are of is not all there
		}
	}
	err := t.read(ctx, from, t.next, func(b *Block) error {
		if b.Next() > t.next {
			b = b.Cut(int(t.next - b.Base()))
			if t.opened == nil {
				t.partial, t.base = b, b.Base()
			}
		}
		t.recv = b.RecvMax()
		if t.opened == nil || b.Next() <= t.opened.Base {
			return t.tables.foldBlock(b)
		}
		if b.Base() < t.opened.Base {
			return fmt.Errorf("a block at offset %d reaches into the stretch at %d", b.Base(), t.opened.Base)
		}
		out.begin(&t.tables)
		out.add(b)
		return t.tables.foldBlock(b)
	})
	if out != nil {
		out.seal()
		t.blocks = out.blocks
		for n, p := range t.tables.producers {
			if at := out.open[n]; at != nil {
				p.lastBase = at.last
			}
		}
	}
	return err
}

// read calls fn for each block from offset from on that begins below to. What
// cannot be read is an error.
func (t *truncation) read(ctx context.Context, from, to uint64, fn func(b *Block) error) error {
	in := reading{tells: true}
	for from < to {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := t.l.blockFrom(from, &in)
		if err != nil {
			return err
		}
		if b == nil || b.Base() >= to {
			break
		}
		if from = b.Next(); from > t.l.Sealed() {
			in.w = nil
		}
		if err := fn(b); err != nil {
			return err
		}
	}
	return nil
}

// look notes what is cut off.
func (t *truncation) look(ctx context.Context) error {
	l, d := t.l, &t.dropped
	d.Kinds = map[string]int{}
	first := map[uint32]uint64{} // producer → lowest number dropped
	last := map[uint32]uint64{}
	made := map[uint32]ProducerKey{}
	err := t.read(ctx, t.next, t.end, func(b *Block) error {
		for i := range b.Len() {
			rec := b.Record(i)
			if rec.Offset < t.next || rec.Offset >= t.end {
				continue
			}
			if d.Records++; d.From == 0 {
				d.From, d.FromRecv = rec.Offset, rec.Recv
			}
			d.To, d.ToRecv = rec.Offset, rec.Recv
			d.Kinds[rec.Kind.String()]++
			switch rec.Kind {
			case KindAgentDict:
				if d.AgentCount++; len(d.Agents) < droppedMax {
					space, id, _ := l.Agent(rec.Agent)
					d.Agents = append(d.Agents, space+"/"+id)
				}
			case KindProducerDict:
				made[rec.Producer], _ = decodeProducerKey(rec.Payload)
			case KindEvent, KindLost, KindShed, KindRefused, KindForgotten:
				if _, ok := first[rec.Producer]; !ok {
					first[rec.Producer] = rec.Seq
				}
				last[rec.Producer] = rec.To()
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	d.ProducerCount = len(first)
	for _, p := range slices.Sorted(maps.Keys(first)) {
		if len(d.Producers) == droppedMax {
			break
		}
		n := DroppedNumbers{Producer: made[p], From: first[p], To: last[p]}
		if pr := t.tables.producers[p]; pr != nil {
			n.Producer = pr.key
		}
		d.Producers = append(d.Producers, n)
	}
	return nil
}

// write makes the cut, and the new epoch with it, in one synced batch.
func (t *truncation) write(e EpochStart) error {
	l := t.l
	b := l.db.NewBatch()
	defer b.Close()
	err := errors.Join(
		b.DeleteRange(key8(prefixHeader, t.base), []byte{prefixHeader + 1}, nil),
		b.DeleteRange(key8(prefixBody, t.base), []byte{prefixBody + 1}, nil),
		b.DeleteRange(key8(prefixAmend, t.base), []byte{prefixAmend + 1}, nil),
		b.DeleteRange([]byte{prefixAgent}, []byte{prefixAgent + 1}, nil),
		b.DeleteRange([]byte{prefixProducer}, []byte{prefixProducer + 1}, nil),
		b.DeleteRange([]byte{prefixHole}, []byte{prefixHole + 1}, nil),
	)
	if err != nil {
		return err
	}
	if err := t.dropStretches(b); err != nil {
		return err
	}
	ops, err := t.ops(e)
	if err != nil {
		return err
	}
	for _, o := range ops {
		if err := b.Set(o.key, o.value, nil); err != nil {
			return err
		}
	}
	return errors.Join(l.db.Apply(b, pebble.Sync), l.Err())
}

// dropStretches takes out what is sealed from the cut on.
func (t *truncation) dropStretches(b *pebble.Batch) (err error) {
	from := t.base
	if from >= t.l.Sealed() {
		return nil
	}
	err = errors.Join(
		b.DeleteRange(stretchKey(from, partSummary), []byte{prefixStretch + 1}, nil),
		b.DeleteRange(key8(prefixDrop, from), []byte{prefixDrop + 1}, nil),
	)
	if err != nil {
		return err
	}
	it, err := t.l.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixChunk}, UpperBound: []byte{prefixChunk + 1}})
	if err != nil {
		return err
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		if chunkBase(it.Key()) >= from {
			err = b.Delete(it.Key(), nil)
		}
	}
	return errors.Join(err, it.Error(), it.Close())
}

// chunkBase returns the base of the stretch that a chunk's key belongs to.
func chunkBase(k []byte) uint64 {
	if len(k) != 18 {
		return 0
	}
	return binary.BigEndian.Uint64(k[6:])
}

// ops are the keys that the cut log has anew.
func (t *truncation) ops(e EpochStart) (ops []op, err error) {
	l := t.l
	if err := t.chain(&ops); err != nil {
		return nil, err
	}
	for _, x := range append(l.Epochs(), e) {
		x.First = min(x.First, t.next) // epochs that begin behind have nothing of their own left
		ops = append(ops, op{key4(prefixEpoch, x.Epoch), x.encode()})
	}
	for _, h := range l.holes {
		if h.To = min(h.To, t.next-1); h.From <= h.To {
			ops = append(ops, op{key8(prefixHole, h.From), h.encode()})
		}
	}
	for name, off := range l.cursors.m {
		ops = append(ops, op{append([]byte{prefixCursor}, name...), binary.LittleEndian.AppendUint64(nil, min(off, t.next))})
	}
	if t.tables.from > t.next {
		t.tables.forgetDigests()
	}
	names := t.tables.l.agents.names
	for i, a := range names {
		ops = append(ops, op{key4(prefixAgent, uint32(i+1)), appendString(appendString(nil, a.space), a.id)})
	}
	free := uint32(1)
	if t.upon {
		free = max(free, t.was.free)
	}
	for n, p := range t.tables.producers {
		free = max(free, n+1)
		ops = append(ops, op{key4(prefixProducer, n), p.encode(nil)})
	}
	for n := range t.tables.expired {
		free = max(free, n+1)
	}
	ops = putDigests(ops, t.tables.unnumbered, min(t.tables.from, t.next), t.next)
	c := checkpoint{next: t.next, recv: t.recv, agents: uint32(len(names)), free: free}
	return append(ops, op{[]byte(metaCheckpoint), c.encode()}), nil
}

// chain finds the digest at the cut, writing anew what is left of where it lies.
func (t *truncation) chain(ops *[]op) error {
	l := t.l
	if t.opened != nil {
		t.digest = t.opened.chain
		for _, b := range t.blocks {
			t.encode(ops, b, block.Stamp{LogID: l.id, Epoch: epochAt(l.epochs, b.Base()), Chain: t.digest})
		}
		return nil
	}
	if t.partial != nil {
		var head []byte
		var h block.Header
		if err := l.header(t.base, func(v []byte) error { head = append(head, v...); return nil }); err != nil {
			return notFound(err, t.base)
		}
		if err := block.DecodeHeader(head, &h); err != nil {
			return err
		}
		t.encode(ops, t.partial, block.Stamp{LogID: h.LogID, Epoch: h.Epoch, Chain: h.Chain})
		return nil
	}
	for _, st := range l.Stretches() {
		if st.Next <= t.next {
			t.digest = st.digest
		}
	}
	it, err := l.headers(min(l.Sealed(), t.next), t.next)
	if err != nil {
		return err
	}
	if it.Last() {
		var h block.Header
		if err = headerAt(it, &h); err == nil {
			t.digest = h.Digest()
		}
	}
	return errors.Join(err, it.Error(), it.Close())
}

// encode adds a block to ops.
func (t *truncation) encode(ops *[]op, b *Block, s block.Stamp) {
	var enc block.Encoder
	body := enc.Body(nil, b)
	head, digest := block.EncodeHeader(nil, b, body, s)
	*ops = append(*ops, op{key8(prefixHeader, b.Base()), head}, op{key8(prefixBody, b.Base()), body})
	t.digest = digest
}
