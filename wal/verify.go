package wal

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"eyrie/wal/block"
)

// VerifyOptions say what is verified.
type VerifyOptions struct {
	// Log are the options of the log: Dir is its folder, or with Backup where
	// it is pretended to be.
	Log Options
	// Backups, if set, is a folder of backups on Log.FS; the one named Backup,
	// "" for the newest, is looked at in place of Log.Dir.
	Backups string
	Backup  string
	// Block, if set, is called for each intact block, in order, with the log's
	// id; gap tells that records may be missing before it.
	Block func(log [16]byte, b *Block, gap bool)
	// Claims are digests that others have of what they have read of the log.
	Claims []Claim
	// Progress, if set, is called now and then with the offset that was reached
	// and the log's end.
	Progress func(at, end uint64)
}

// Damage is something that is not as it was written.
type Damage struct {
	// Part is mark, store, file, meta, epochs, holes, holds, header, body, chain,
	// stretch, index, page, chunk, record, numbers, agents, producers,
	// digests, checkpoint, cursor, end, view; callers add their own.
	Part     string `json:"part"`
	From, To uint64 `json:"-"`              // offsets; 0 where none are known
	File     string `json:"file,omitempty"` // where it is known
	Msg      string `json:"msg"`
}

// String names part, range and file.
func (d *Damage) String() string {
	var b strings.Builder
	b.WriteString(d.Part)
	if d.From != 0 {
		if fmt.Fprintf(&b, ", offset %d", d.From); d.To != d.From {
			fmt.Fprintf(&b, " to %d", d.To)
		}
	}
	if d.File != "" {
		b.WriteString(", file " + d.File)
	}
	return b.String() + ": " + d.Msg
}

// VerifyResult is what was looked at and what is wrong.
type VerifyResult struct {
	Log      string // id, in hexadecimal
	Epoch    uint32
	Epochs   int
	Begun    uint64 // first offset of the newest epoch; 1 where there is but one
	First    uint64 // first offset that retention has left
	Next     uint64 // first offset behind the last block
	Mark     uint64 // up to where the mark vouches
	Blocks   uint64
	Sealed   int // stretches
	Records  uint64
	Bytes    int64 // of headers, bodies and chunks
	Agents   int
	Numbers  uint64   // of producers, each with one fate
	Digests  int      // producers of which the log has one
	Agreed   []string // of whom the claims are what the log holds
	Known    []Hole   // losses that were accepted: they are no damage
	Damages  []Damage
	More     int           // damages beyond damagesMax
	Unopened error         // the store could not be opened: nothing of its blocks was looked at
	Took     time.Duration // by Options.Now
}

// producersMax bounds the memory that a damaged producer's number may cost.
const producersMax = 1 << 28

// damagesMax bounds the damages that are named one by one.
const damagesMax = 10_000

// Verify reads a whole log, of a folder that no server holds or of a backup,
// and tells what is not as it was written. It goes on behind a damage, and
// changes nothing: the store is recovered in memory. Errors: ErrInUse,
// *NewerFormatError, ErrNoBackup, those of the file system and of ctx.
func Verify(ctx context.Context, o VerifyOptions) (*VerifyResult, error) {
	if err := o.Log.defaults(); err != nil {
		return nil, err
	}
	v := &verifier{o: o, begun: o.Log.Now(), res: &VerifyResult{}}
	if err := v.run(ctx); err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	v.res.Took = o.Log.Now().Sub(v.begun)
	return v.res, nil
}

// verifier is one verification.
type verifier struct {
	o     VerifyOptions
	begun time.Time
	l     *Log
	mark  mark
	c     checkpoint
	res   *VerifyResult

	mu      sync.Mutex
	corrupt string // file that the store found damaged last

	next    uint64 // offset that should come
	digest  uint64 // of all headers up to next
	linked  bool   // digest is known: no damage lies before
	recv    int64
	seen    bool // the mark's position was passed
	tabled  bool // the tables have been compared
	lenient bool // records are missing, so the tables cannot be folded
	gap     bool // just now
	stored  struct {
		agents    []agentName
		producers map[uint32]*producer
	}
	folded recovery
	sums   sums
	number []uint64 // next of each producer, by its number, which is never given again
	// of the block at hand
	rec    Record
	agents []uint32
	keys   map[uint32]bool
}

func (v *verifier) damage(d Damage) {
	if n := len(v.res.Damages); n > 0 {
		last := &v.res.Damages[n-1]
		if d.From != 0 && last.To+1 == d.From && last.Part == d.Part && last.File == d.File && last.Msg == d.Msg {
			last.To = d.To
			return
		}
	}
	if len(v.res.Damages) >= damagesMax {
		v.res.More++
		return
	}
	v.res.Damages = append(v.res.Damages, d)
}

func (v *verifier) run(ctx context.Context) error {
	fs, below := v.o.Log.FS, source(inPlace{v.o.Log.FS})
	if v.o.Backups != "" {
		b, err := OpenBackup(fs, v.o.Backups, v.o.Backup)
		var bad *BackupDamage
		if errors.As(err, &bad) {
			v.damage(Damage{Part: "file", File: bad.File, Msg: bad.Msg})
			v.res.Unopened = err
			return nil
		}
		if err != nil {
			return err
		}
		if err := v.files(ctx, b); err != nil {
			return err
		}
		below = newPooled(fs, v.o.Backups, fs.PathDir(v.o.Log.Dir), b)
		v.mark, _ = b.mark()
	} else if _, err := fs.Stat(fs.PathJoin(v.o.Log.Dir, newName)); err == nil {
		return fmt.Errorf("%s: accepting a loss was interrupted: start the server on it first", v.o.Log.Dir)
	} else if _, err := fs.Stat(fs.PathJoin(v.o.Log.Dir, storeName)); err != nil {
		return err
	}
	o := v.o.Log
	o.FS = newOverlay(fs, below)
	o.atRest = true
	o.DiskFree = func(string) (uint64, error) { return math.MaxUint64, nil }
	o.Events = Events{Corrupt: func(path string, _ error) {
		v.mu.Lock()
		v.corrupt = path
		v.mu.Unlock()
	}}
	v.l = newLog(o)
	err := v.log(ctx)
	return errors.Join(err, v.l.abandon())
}

// files compares the files of a backup with their checksums.
func (v *verifier) files(ctx context.Context, b *Backup) error {
	buf := make([]byte, 1<<20)
	for i := range b.Files {
		f := &b.Files[i]
		err := readPooled(v.o.Log.FS, v.o.Backups, b, f, func(src vfs.File) (int64, string, error) { return hashed(ctx, src, buf) })
		var bad *BackupDamage
		if errors.As(err, &bad) {
			v.damage(Damage{Part: "file", File: bad.File, Msg: "the backup's " + bad.Is + " " + bad.Msg})
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// log verifies the log.
func (v *verifier) log(ctx context.Context) error {
	l := v.l
	m, err := v.open()
	var newer *NewerFormatError
	switch {
	case errors.Is(err, ErrInUse), errors.As(err, &newer):
		return err
	case v.o.Backups != "" && oserror.IsNotExist(err):
		m = v.mark // the manifest's
	case err != nil && l.db == nil:
		v.damage(Damage{Part: "store", File: v.file(), Msg: err.Error()})
		v.res.Unopened = err
		return nil
	case err != nil:
		v.damage(Damage{Part: "mark", File: markName, Msg: err.Error()})
	}
	v.mark, v.res.Mark = m, m.next
	var lost *LostError
	if err := l.checkSequence(m); errors.As(err, &lost) {
		v.damage(Damage{Part: "store", Msg: lost.Reason})
	} else if err != nil {
		return err
	}
	if err := v.meta(); err != nil {
		return err
	}
	v.tables()
	v.digests()
	v.next, v.linked, v.keys = 1, true, map[uint32]bool{}
	v.folded = recovery{l: &Log{o: l.o, agents: newAgentTable()}, producers: map[uint32]*producer{}, expired: map[uint32]*producer{}, from: noDigests}
	if err := errors.Join(v.stretches(ctx), v.blocks(ctx)); err != nil {
		return err
	}
	v.end()
	v.claims()
	return nil
}

// open opens the store, which may panic on what a damage makes of a MANIFEST.
func (v *verifier) open() (m mark, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("open the log's store: %v", p)
		}
	}()
	return v.l.openStore()
}

// file returns the file that the store has just found damaged, within the log's folder.
func (v *verifier) file() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	path := v.corrupt
	v.corrupt = ""
	return strings.TrimPrefix(path, v.o.Log.Dir+"/")
}

// meta reads what the store knows of the log as a whole.
func (v *verifier) meta() error {
	l := v.l
	created, err := l.identify()
	var newer *NewerFormatError
	if errors.As(err, &newer) {
		return err
	}
	switch {
	case err != nil:
		v.damage(Damage{Part: "meta", File: v.file(), Msg: err.Error()})
	case created:
		v.damage(Damage{Part: "meta", Msg: "the store has forgotten which log it is"})
	case v.mark.next != 0 && v.mark.log != l.id:
		v.damage(Damage{Part: "mark", File: markName, Msg: fmt.Sprintf("is that of log %x, the store is that of log %x", v.mark.log, l.id)})
	}
	v.res.Log = hex.EncodeToString(l.id[:])
	load := func(part string, err error) {
		if err != nil {
			v.damage(Damage{Part: part, File: v.file(), Msg: brief(err)})
		}
	}
	load("epochs", l.loadEpochs())
	load("holes", l.loadHoles())
	load("cursor", l.cursors.load(l.db))
	load("holds", l.holds.load(l.db))
	if len(l.epochs) == 0 {
		v.damage(Damage{Part: "epochs", Msg: "the table is empty"})
		l.epochs = []EpochStart{{Epoch: 1, First: 1}}
	}
	for i := 1; i < len(l.epochs); i++ {
		if a, b := l.epochs[i-1], l.epochs[i]; b.First < a.First {
			v.damage(Damage{Part: "epochs", Msg: fmt.Sprintf("epoch %d begins at %d, before epoch %d", b.Epoch, b.First, a.Epoch)})
		}
	}
	if e := l.Epoch(); v.mark.next != 0 && v.mark.epoch != e {
		v.damage(Damage{Part: "mark", File: markName, Msg: fmt.Sprintf("is of epoch %d, the log's is %d", v.mark.epoch, e)})
	}
	v.res.Epoch, v.res.Epochs, v.res.Known = l.Epoch(), len(l.epochs), l.Holes()
	v.res.Begun = l.epochs[len(l.epochs)-1].First
	err = l.get([]byte(metaCheckpoint), v.c.decode)
	if errors.Is(err, pebble.ErrNotFound) {
		v.c, err = checkpoint{next: 1, free: 1}, nil
	}
	if err != nil {
		v.damage(Damage{Part: "checkpoint", File: v.file(), Msg: err.Error()})
		v.tabled = true // there is nothing to compare
	}
	return nil
}

// tables reads the stored tables, entry by entry.
func (v *verifier) tables() {
	v.stored.producers = map[uint32]*producer{}
	bad := func(part string, err error) {
		if err != nil {
			v.damage(Damage{Part: part, File: v.file(), Msg: err.Error()})
			v.tabled = true
		}
	}
	bad("agents", scan(v.l.db, prefixAgent, func(k, val []byte) error {
		space, rest, ok := cutString(val)
		id, rest, ok2 := cutString(rest)
		if n := uint32(len(v.stored.agents)) + 1; len(k) != 5 || string(k) != string(key4(prefixAgent, n)) || !ok || !ok2 || len(rest) != 0 {
			return fmt.Errorf("agent %d is missing or damaged", n)
		}
		v.stored.agents = append(v.stored.agents, agentName{string(space), string(id)})
		return nil
	}))
	bad("producers", scan(v.l.db, prefixProducer, func(k, val []byte) error {
		if len(k) != 5 {
			return errors.New("the table is damaged")
		}
		n := uint32(k[1])<<24 | uint32(k[2])<<16 | uint32(k[3])<<8 | uint32(k[4])
		p, err := decodeProducer(n, val)
		v.stored.producers[n] = p
		return err
	}))
}

// blocks reads every block, in order.
func (v *verifier) blocks(ctx context.Context) error {
	it, err := v.l.headers(v.l.Sealed(), 0)
	if err != nil {
		return err
	}
	ok := it.First()
	for n := uint64(0); ; n++ {
		if err := ctx.Err(); err != nil {
			return errors.Join(err, it.Close())
		}
		if !ok {
			bad := it.Error()
			if bad == nil {
				break
			}
			file := v.file()
			to, rest := v.behind(prefixHeader, v.next)
			v.damage(Damage{Part: "header", From: v.next, To: to - 1, File: file, Msg: brief(bad)})
			v.skip(to)
			err := it.Close() // says the same again
			if !rest {
				v.compare()
				return ignoreCorrupt(err)
			}
			if it, err = v.l.headers(to, 0); err != nil {
				return err
			}
			ok = it.First()
			continue
		}
		v.header(it)
		if v.o.Progress != nil && n%256 == 0 {
			v.o.Progress(v.next, max(v.mark.next, v.next))
		}
		ok = it.Next()
	}
	v.compare()
	return it.Close()
}

// ignoreCorrupt drops what an iterator says at its end of a damage that has
// been named.
func ignoreCorrupt(err error) error {
	if pebble.IsCorruptionError(err) {
		return nil
	}
	return err
}

// brief is an error without the store's stack.
func brief(err error) string {
	s, _, _ := strings.Cut(err.Error(), "\n")
	return s
}

// behind is Log.behind; what it fails to read is no finding of its own.
func (v *verifier) behind(prefix byte, from uint64) (base uint64, ok bool) {
	base, ok = v.l.behind(prefix, from)
	v.file()
	if !ok {
		base = max(v.mark.next, base)
	}
	return base, ok
}

// skip goes on at offset to, with no knowledge of what lies before.
func (v *verifier) skip(to uint64) {
	v.next, v.linked = max(v.next, to), false
	v.incomplete()
}

// incomplete tells that records are missing.
func (v *verifier) incomplete() {
	v.lenient, v.folded.salvage, v.gap = true, true, true
	v.sums.gap(v.next)
}

// header verifies the block that it stands on.
func (v *verifier) header(it *pebble.Iterator) {
	var h block.Header
	base := baseIn(it.Key())
	if err := headerAt(it, &h); err != nil {
		v.damage(Damage{Part: "header", From: max(base, 1), To: max(base, 1), File: v.file(), Msg: brief(err)})
		v.skip(base + 1)
		return
	}
	v.res.Blocks++
	v.res.Bytes += int64(len(it.Value()) + h.BodyLen)
	l := v.l
	bad := func(part, format string, args ...any) {
		v.damage(Damage{Part: part, From: h.Base, To: h.Next() - 1, Msg: fmt.Sprintf(format, args...)})
	}
	if h.LogID != l.id {
		bad("header", "is of log %x, this is log %x", h.LogID, l.id)
	}
	if !v.ofEpoch(&h) {
		bad("header", "is of epoch %d, which the table of epochs does not have there", h.Epoch)
	}
	v.follows("header", h.Base)
	if v.linked && h.Chain != v.digest {
		bad("chain", "the block does not follow from those before it")
	}
	if h.RecvMin < v.recv {
		bad("record", "recv goes back from %d to %d", v.recv, h.RecvMin)
	}
	if h.Base >= v.c.next {
		v.compare()
	}
	v.next, v.digest, v.linked, v.recv = max(v.next, h.Next()), h.Digest(), true, max(v.recv, h.RecvMax)
	if h.Next() == v.mark.next {
		if v.seen = true; v.digest != v.mark.digest {
			bad("chain", "the digest up to here is %016x, the mark says %016x", v.digest, v.mark.digest)
		}
	}
	b, err := l.loadBody(&h)
	if err != nil {
		v.damage(Damage{Part: "body", From: h.Base, To: h.Next() - 1, File: v.file(), Msg: brief(err)})
		v.incomplete()
		return
	}
	if a, ok, err := l.amended(&h); err != nil {
		v.damage(Damage{Part: "body", From: h.Base, To: h.Next() - 1, File: v.file(), Msg: brief(err)})
	} else if ok && l.get(key8(prefixBody, h.Base), func(p []byte) error { _, err := block.Decode(&a, p); return err }) != nil {
		bad("body", "is the one from before something of it was forgotten")
	}
	v.body(&h, b)
}

// follows holds the base of a block or stretch to what came before.
func (v *verifier) follows(part string, base uint64) {
	switch {
	case base < v.next:
		v.damage(Damage{Part: part, From: base, To: v.next - 1, Msg: "overlaps what came before it"})
	case base > v.next && !v.known(v.next, base-1):
		v.damage(Damage{Part: part, From: v.next, To: base - 1, Msg: "no block holds them"})
		v.skip(base)
	case base > v.next:
		v.incomplete()
	}
}

// ofEpoch tells whether the block may be of the epoch that its header names.
func (v *verifier) ofEpoch(h *block.Header) bool {
	for i, e := range v.l.epochs {
		if e.Epoch == h.Epoch {
			return h.Base >= e.First && (i+1 == len(v.l.epochs) || h.Base < v.l.epochs[i+1].First)
		}
	}
	return false
}

func (v *verifier) known(from, to uint64) bool {
	for _, h := range v.l.holes {
		if from >= h.From && from <= h.To {
			if from = h.To + 1; from > to {
				return true
			}
		}
	}
	return false
}

// body verifies the records of a block with its header.
func (v *verifier) body(h *block.Header, b *Block) {
	var kinds uint32
	var classes uint64
	v.agents = h.Agents(v.agents[:0])
	clear(v.keys)
	for i := range b.Len() {
		b.Load(i, &v.rec)
		r := &v.rec
		kinds |= r.Kind.Mask()
		classes |= 1 << (r.Class & 63)
		_, leads := slices.BinarySearch(v.agents, r.Agent)
		if leads && r.Key != 0 {
			known, ok := v.keys[r.Key]
			if !ok {
				known = h.MayHaveKey(r.Key)
				v.keys[r.Key] = known
			}
			leads = known
		}
		if !leads {
			v.damage(Damage{Part: "header", From: r.Offset, To: r.Offset, Msg: "the block's header does not lead to the record"})
		}
	}
	was := func(kinds uint32) uint32 { // before something was forgotten
		if kinds&KindForgotten.Mask() != 0 {
			kinds = kinds&^KindForgotten.Mask() | KindEvent.Mask()
		}
		return kinds
	}
	if b.RecvMax() != h.RecvMax || was(kinds) != was(h.Kinds) || classes != h.Classes {
		v.damage(Damage{Part: "header", From: h.Base, To: h.Next() - 1, Msg: "what the header says of the records is not what they are"})
	}
	v.records(b, h.RecvMin)
}

// records verifies what every record must hold to. recv is that of the record
// before, or a later one.
func (v *verifier) records(b *Block, recv int64) {
	v.res.Records += uint64(b.Len())
	bad := func(part string, off uint64, format string, args ...any) {
		v.damage(Damage{Part: part, From: off, To: off, Msg: fmt.Sprintf(format, args...)})
	}
	for i := range b.Len() {
		b.Load(i, &v.rec)
		r := &v.rec
		if r.Recv < recv {
			bad("record", r.Offset, "recv goes back from %d to %d", recv, r.Recv)
		}
		recv = r.Recv
		switch {
		case r.Kind.Numbered():
			for uint64(r.Producer) >= uint64(len(v.number)) && r.Producer < producersMax {
				v.number = append(v.number, 1)
			}
			if r.Producer >= producersMax {
				bad("numbers", r.Offset, "producer %d was never given out", r.Producer)
				continue
			}
			want := v.number[r.Producer]
			if r.Seq > want && v.lenient {
				want = r.Seq // what lies between may be in what is missing
			}
			if r.Seq != want || r.To() < r.Seq {
				bad("numbers", r.Offset, "numbers %d to %d of producer %d, %d expected", r.Seq, r.To(), r.Producer, want)
			}
			v.number[r.Producer] = max(want, r.To()+1)
			v.res.Numbers += r.To() - r.Seq + 1
		}
	}
	v.sums.add(b)
	if err := v.folded.foldBlock(b); err != nil {
		v.damage(Damage{Part: "record", From: b.Base(), To: b.Next() - 1, Msg: err.Error()})
		v.tabled = true
	}
	if v.o.Block != nil {
		v.o.Block(v.l.id, b, v.gap)
	}
	v.gap = false
}

// compare holds the stored tables to those folded up to their checkpoint, once.
func (v *verifier) compare() {
	if v.tabled {
		return
	}
	v.tabled = true
	if v.next != v.c.next && !v.lenient {
		v.damage(Damage{Part: "checkpoint", From: v.next, To: max(v.c.next, v.next+1) - 1, Msg: fmt.Sprintf("it stands at %d, where no block ends", v.c.next)})
		return
	}
	if v.lenient {
		return // what is missing may have changed them
	}
	names := v.folded.l.agents.names
	if len(names) != len(v.stored.agents) || len(names) != int(v.c.agents) {
		v.damage(Damage{Part: "agents", Msg: fmt.Sprintf("%d stored, the checkpoint says %d, the records have %d", len(v.stored.agents), v.c.agents, len(names))})
	}
	for i := range min(len(names), len(v.stored.agents)) {
		if names[i] != v.stored.agents[i] {
			v.damage(Damage{Part: "agents", Msg: fmt.Sprintf("agent %d is stored as %q, its record says %q", i+1, v.stored.agents[i].id, names[i].id)})
		}
	}
	for n, want := range v.folded.producers {
		have := v.stored.producers[n]
		switch {
		case have == nil:
			v.damage(Damage{Part: "producers", Msg: fmt.Sprintf("producer %d is not stored", n)})
		case have.key != want.key || have.epoch != want.epoch || have.next != want.next || v.hot(have.lastBase) != v.hot(want.lastBase) || string(have.pos) != string(want.pos):
			v.damage(Damage{Part: "producers", Msg: fmt.Sprintf("producer %d is stored as %s, the records say %s", n, have.describe(), want.describe())})
		}
	}
	for n := range v.stored.producers {
		if v.folded.producers[n] == nil {
			v.damage(Damage{Part: "producers", Msg: fmt.Sprintf("producer %d is stored, no record tells of it", n)})
		}
	}
}

// hot is the base of a block, 0 for one that was sealed: records do not tell
// where those began.
func (v *verifier) hot(base uint64) uint64 {
	if base < v.l.Sealed() {
		return 0
	}
	return base
}

func (p *producer) describe() string {
	return fmt.Sprintf("%s/%s, epoch %d, next number %d, newest block %d", p.key.Space, p.key.Owner, p.epoch, p.next, p.lastBase)
}

// end compares the log's end with who vouches for it.
func (v *verifier) end() {
	v.res.Next, v.res.Agents = v.next, len(v.folded.l.agents.names)
	switch {
	case v.next < v.mark.next:
		v.damage(Damage{Part: "end", From: v.next, To: v.mark.next - 1, Msg: "the mark vouches for them"})
	case v.mark.next > 1 && !v.seen:
		v.damage(Damage{Part: "end", From: v.mark.next, To: max(v.next-1, v.mark.next), Msg: "no block ends where the mark stands"})
	}
	if v.c.next > max(v.next, v.mark.next) {
		v.damage(Damage{Part: "end", From: max(v.next, v.mark.next), To: v.c.next - 1, Msg: "the checkpoint vouches for them"})
	}
	for name, off := range v.l.cursors.m {
		if off > v.next {
			v.damage(Damage{Part: "cursor", Msg: fmt.Sprintf("%s stands at %d, the log ends at %d", name, off, v.next)})
		}
	}
	if v.o.Progress != nil {
		v.o.Progress(v.next, v.next)
	}
}
