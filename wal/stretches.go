package wal

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"
	"weak"

	"github.com/cockroachdb/pebble/v2"

	"eyrie/wal/block"
	"eyrie/wal/stretch"
)

// A sealed stretch takes the place of a run of blocks: the same records, by tier
// and agent (see package stretch). Its keys:
//
//	's' base 8 0                        its summary, below
//	's' base 8 1                        its index
//	's' base 8 2 page 4                 which chunks hold a run
//	't' tier 1 hour 4 base 8 chunk 4    a chunk; hour = its stretch's last recv / 1 h
//	'w' base 8                          what retention has dropped of it: bits of the
//	                                    tiers 8, of these still under way 8
//
// Stretches follow each other without a gap from the log's first offset on; where
// they end the blocks begin. A summary comes into the store in one step with all
// that belongs to it. What stands below the end of the last stretch as blocks is
// left over, and is taken away at the next open at the latest.
//
// A summary, little-endian:
//
//	 0  4  magic "eyrZ"
//	 4  1  version, 1; 2 where it was written again
//	 5  3  zero
//	 8  8  next: offset behind its last record
//	16  8  recv of the first record, 24 8 of the last
//	32  8  digest of all headers before it, 40 8 of all up to its end
//	48  8  records
//	56  8  bytes of the blocks it took the place of, as stored
//	64  8  bytes of its chunks, 72 8 of index and pages
//	80  8  bits of the tiers in it
//	88  8  version 2: how often it was written again, to forget or to compact
//	 n  4  CRC32C of everything before
//
// The upper bit of a chunk's number in its key is the lowest bit of how often the
// stretch was written again, so that the new chunks lie beside the old ones until
// these go.
const (
	prefixStretch = 's'
	prefixChunk   = 't'
	prefixDrop    = 'w'

	summaryMagic   = "eyrZ"
	summaryVersion = 2
	summaryBytes   = 92 // of version 1; 8 more of version 2

	partSummary = 0
	partIndex   = 1
	partPage    = 2
)

// Stretch describes a sealed stretch of the log.
type Stretch struct {
	Base, Next       uint64 // offsets [Base, Next)
	RecvMin, RecvMax int64
	Records          uint64
	HotBytes         uint64 // of the blocks it took the place of, as stored
	Bytes            uint64 // of its chunks
	IndexBytes       uint64 // of its index and pages
	Tiers            uint64 // bits of the tiers in it
	Dropped          uint64 // of these, the ones that retention has dropped, but for what is held
	dropping         uint64 // of these, the ones whose chunks may still be there
	chain, digest    uint64 // of all headers before it, and up to its end
	gen              uint64 // how often it was written again
}

func (s *Stretch) hour() uint32 { return uint32(max(s.RecvMax, 0) / 3_600_000_000_000) }

func (s *Stretch) encode() []byte {
	le := binary.LittleEndian
	p := make([]byte, 8, summaryBytes+8)
	copy(p, summaryMagic)
	p[4] = 1
	for _, v := range []uint64{s.Next, uint64(s.RecvMin), uint64(s.RecvMax), s.chain, s.digest, s.Records, s.HotBytes, s.Bytes, s.IndexBytes, s.Tiers} {
		p = le.AppendUint64(p, v)
	}
	if s.gen > 0 {
		p[4] = 2
		p = le.AppendUint64(p, s.gen)
	}
	return le.AppendUint32(p, crcOf(p))
}

func (s *Stretch) decode(base uint64, p []byte) error {
	le := binary.LittleEndian
	if len(p) < 12 || string(p[:4]) != summaryMagic || crcOf(p[:len(p)-4]) != le.Uint32(p[len(p)-4:]) {
		return fmt.Errorf("the summary of the sealed stretch at offset %d is damaged", base)
	}
	if p[4] > summaryVersion {
		return &NewerFormatError{What: "sealed stretch", Got: uint64(p[4]), Most: summaryVersion}
	}
	if p[4] == 0 || len(p) != summaryBytes+8*int(p[4]-1) {
		return fmt.Errorf("the summary of the sealed stretch at offset %d has %d bytes", base, len(p))
	}
	at := func(i int) uint64 { return le.Uint64(p[i:]) }
	*s = Stretch{Base: base, Next: at(8), RecvMin: int64(at(16)), RecvMax: int64(at(24)), chain: at(32), digest: at(40),
		Records: at(48), HotBytes: at(56), Bytes: at(64), IndexBytes: at(72), Tiers: at(80)}
	if p[4] == 2 {
		s.gen = at(88)
	}
	if s.Next <= base {
		return fmt.Errorf("the sealed stretch at offset %d ends at %d", base, s.Next)
	}
	return nil
}

func stretchKey(base uint64, part byte) []byte {
	return append(key8(prefixStretch, base), part)
}

func pageKey(base uint64, page int) []byte {
	return binary.BigEndian.AppendUint32(stretchKey(base, partPage), uint32(page))
}

// chunkKey is the key of chunk no of the tier.
func (s *Stretch) chunkKey(tier uint8, no uint32) []byte {
	k := binary.BigEndian.AppendUint32([]byte{prefixChunk, tier}, s.hour())
	k = binary.BigEndian.AppendUint64(k, s.Base)
	return binary.BigEndian.AppendUint32(k, no&(1<<31-1)|uint32(s.gen&1)<<31)
}

// stretches is the list of what is sealed, for any goroutine.
type stretches struct {
	mu   sync.RWMutex
	list []Stretch // ascending; replaced, never changed

	cache indexCache
	whole wholeCache
}

// Stretches returns what is sealed, oldest first. Not to be changed.
func (l *Log) Stretches() []Stretch {
	l.sealed.mu.RLock()
	defer l.sealed.mu.RUnlock()
	return l.sealed.list
}

// Sealed returns the first offset that is not in a sealed stretch.
func (l *Log) Sealed() uint64 {
	if list := l.Stretches(); len(list) > 0 {
		return list[len(list)-1].Next
	}
	return 1
}

// First returns the first offset that the log still has something of.
func (l *Log) First() uint64 {
	if list := l.Stretches(); len(list) > 0 {
		return list[0].Base
	}
	return 1
}

// stretchAt returns the sealed stretch that holds off.
func (l *Log) stretchAt(off uint64) (Stretch, bool) {
	list := l.Stretches()
	i := sort.Search(len(list), func(i int) bool { return list[i].Next > off })
	if i == len(list) || off < list[i].Base {
		return Stretch{}, false
	}
	return list[i], true
}

// change replaces the list by what fn makes of a copy.
func (s *stretches) change(fn func(list []Stretch) []Stretch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = fn(slices.Clone(s.list))
}

// loadStretches reads the summaries at open.
func (l *Log) loadStretches() (err error) {
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixStretch}, UpperBound: []byte{prefixStretch + 1}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	var list []Stretch
	for ok := it.First(); ok; {
		k := it.Key()
		if len(k) != 10 || k[9] != partSummary {
			return fmt.Errorf("the log's table of sealed stretches is damaged at %x", k)
		}
		v, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		var s Stretch
		if err := s.decode(binary.BigEndian.Uint64(k[1:]), v); err != nil {
			return err
		}
		if n := len(list); n > 0 && (list[n-1].Next > s.Base || list[n-1].digest != s.chain) {
			return &LostError{From: list[n-1].Next, To: s.Base, Epoch: 0, Reason: "the sealed stretch does not follow from the one before it"}
		}
		list = append(list, s)
		ok = it.SeekGE(key8(prefixStretch, s.Base+1))
	}
	if err := it.Error(); err != nil {
		return err
	}
	err = l.loadDropped(list)
	l.sealed.change(func([]Stretch) []Stretch { return list })
	return err
}

// loadDropped notes in list what retention has dropped.
func (l *Log) loadDropped(list []Stretch) error {
	return scan(l.db, prefixDrop, func(k, v []byte) error {
		i, ok := slices.BinarySearchFunc(list, baseIn(k), func(e Stretch, base uint64) int { return cmp.Compare(e.Base, base) })
		if !ok {
			return nil // of a stretch that is gone as a whole
		}
		if len(v) != 16 {
			return fmt.Errorf("what was dropped of the sealed stretch at offset %d is damaged", list[i].Base)
		}
		list[i].Dropped, list[i].dropping = binary.LittleEndian.Uint64(v), binary.LittleEndian.Uint64(v[8:])
		return nil
	})
}

// anySealed tells whether a sealed stretch is there, before they are loaded.
func (l *Log) anySealed() (bool, error) {
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixStretch}, UpperBound: []byte{prefixStretch + 1}})
	if err != nil {
		return false, err
	}
	any := it.First()
	return any, errors.Join(it.Error(), it.Close())
}

// dropLeftovers takes away the blocks that a sealed stretch has taken the place
// of, where the server ended in between.
func (l *Log) dropLeftovers() error {
	it, err := l.headers(0, l.Sealed())
	if err != nil {
		return err
	}
	left := it.First()
	if err := errors.Join(it.Error(), it.Close()); err != nil || !left {
		return err
	}
	return l.dropBlocks(l.Sealed())
}

// indexCache keeps the indexes used last.
type indexCache struct {
	mu sync.Mutex
	m  []cachedIndex // newest use last
}

type cachedIndex struct {
	base, gen uint64
	x         *stretch.Index
}

// indexesKept bounds the memory of indexes: each is some 100 KiB.
const indexesKept = 64

// index returns the index of a stretch.
func (l *Log) index(s *Stretch) (x *stretch.Index, err error) {
	c := &l.sealed.cache
	c.mu.Lock()
	if i := slices.IndexFunc(c.m, func(e cachedIndex) bool { return e.base == s.Base && e.gen == s.gen }); i >= 0 {
		e := c.m[i]
		c.m = append(slices.Delete(c.m, i, i+1), e)
		c.mu.Unlock()
		return e.x, nil
	}
	c.mu.Unlock()
	err = l.get(stretchKey(s.Base, partIndex), func(v []byte) (err error) {
		x, err = stretch.DecodeIndex(v)
		return err
	})
	if errors.Is(err, pebble.ErrNotFound) && s.Base < l.First() {
		return &stretch.Index{Base: s.Base, Next: s.Next}, nil // dropped since the caller looked
	}
	if err == nil && (x.Base != s.Base || x.Next != s.Next || x.LogID != l.id) {
		err = errors.New("it is that of another")
	}
	if err != nil {
		return nil, &LostError{From: s.Base, To: s.Next - 1, Reason: "the index of the sealed stretch cannot be read: " + err.Error()}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m = append(c.m, cachedIndex{s.Base, s.gen, x}); len(c.m) > indexesKept {
		c.m = slices.Delete(c.m, 0, len(c.m)-indexesKept)
	}
	return x, nil
}

// chunk reads and decodes a chunk. A chunk that is damaged or missing is a
// *LostError that names it; of one that retention has dropped it returns nil.
func (l *Log) chunk(s *Stretch, c *stretch.ChunkInfo) (p *stretch.Part, err error) {
	return l.chunkBy(s, c, func(v []byte) (*stretch.Part, error) { return stretch.DecodeChunk(c, v) })
}

// provenChunk is chunk that also finds a filter that would have readers skip what is there.
func (l *Log) provenChunk(s *Stretch, c *stretch.ChunkInfo) (p *stretch.Part, err error) {
	return l.chunkBy(s, c, func(v []byte) (*stretch.Part, error) { return stretch.ProveChunk(c, v) })
}

// chunkUnless is chunk that returns nil, too, where skip tells to leave it, and
// decodes into into, if that is set.
func (l *Log) chunkUnless(s *Stretch, c *stretch.ChunkInfo, skip stretch.Skip, into *stretch.Part) (p *stretch.Part, err error) {
	return l.chunkBy(s, c, func(v []byte) (*stretch.Part, error) { return stretch.DecodeChunkUnless(c, v, skip, into) })
}

// chunkBy is chunk with decode.
func (l *Log) chunkBy(s *Stretch, c *stretch.ChunkInfo, decode func(value []byte) (*stretch.Part, error)) (p *stretch.Part, err error) {
	err = l.get(s.chunkKey(c.Tier, c.No), func(v []byte) (err error) {
		p, err = decode(v)
		return err
	})
	if err == nil {
		return p, nil
	}
	if l.moved(s) {
		return nil, errMoved
	}
	reason := err.Error()
	if errors.Is(err, pebble.ErrNotFound) {
		if l.dropped(s.Base, c.Tier) {
			return nil, nil
		}
		reason = "it is missing"
	}
	return nil, &LostError{From: c.FirstOffset, To: c.LastOffset, Records: c.Count,
		Reason: fmt.Sprintf("chunk %d of tier %d of the sealed stretch at offset %d, agents %d to %d: %s", c.No, c.Tier, s.Base, c.FirstAgent, c.LastAgent, reason)}
}

// errMoved tells that the stretch was written again since the caller looked, who
// is to look again.
var errMoved = errors.New("the sealed stretch was written again")

// moved tells whether that is so.
func (l *Log) moved(s *Stretch) bool {
	now, ok := l.stretchAt(s.Base)
	return ok && (now.Base != s.Base || now.gen != s.gen)
}

// dropped tells whether retention has dropped the tier of the stretch at base: it
// may have done so since the caller looked.
func (l *Log) dropped(base uint64, tier uint8) bool {
	s, ok := l.stretchAt(base)
	return !ok || s.Base != base || (s.Dropped|s.dropping)>>(tier&63)&1 == 1
}

// whole is a sealed stretch decoded, its records by offset. Immutable.
type whole struct {
	s     Stretch
	parts []*stretch.Part
	at    []uint64     // by offset − base: part+1 << 32 | index in it; 0 = not there
	lost  []*LostError // chunks that cannot be read
}

// decodeWhole reads all chunks of a stretch by chunk.
func (l *Log) decodeWhole(s *Stretch, chunk func(*Stretch, *stretch.ChunkInfo) (*stretch.Part, error)) (*whole, error) {
	x, err := l.index(s)
	if err != nil {
		return nil, err
	}
	w := &whole{s: *s, at: make([]uint64, s.Next-s.Base)}
	type loaded struct {
		p   *stretch.Part
		err error
	}
	ahead(l.turns, pointers(x.Chunks), func(c *stretch.ChunkInfo) loaded {
		p, err := chunk(s, c)
		return loaded{p, err}
	}, func(y loaded) bool {
		var lost *LostError
		switch {
		case errors.As(y.err, &lost):
			w.lost = append(w.lost, lost)
		case y.err != nil:
			err = y.err
		case y.p != nil:
			err = w.add(y.p)
		}
		return err == nil
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}

// add adds what a chunk holds.
func (w *whole) add(p *stretch.Part) error {
	w.parts = append(w.parts, p)
	n := uint64(len(w.parts)) << 32
	var r Record
	for j := range p.Len() {
		p.Load(j, &r)
		if r.Offset < w.s.Base || r.Offset >= w.s.Next {
			return fmt.Errorf("the sealed stretch at offset %d holds offset %d", w.s.Base, r.Offset)
		}
		w.at[r.Offset-w.s.Base] = n | uint64(j)
	}
	return nil
}

// record loads the record at off; false if it is not there.
func (w *whole) record(off uint64, r *Record) bool {
	at := w.at[off-w.s.Base]
	if at == 0 {
		return false
	}
	w.parts[at>>32-1].Load(int(uint32(at)), r)
	return true
}

// block makes a block of the records from off on, or from the first one behind
// it that is there; nil if there is none.
func (w *whole) block(off uint64) *Block {
	var r Record
	for ; off < w.s.Next && !w.record(off, &r); off++ {
	}
	if off >= w.s.Next {
		return nil
	}
	records, bytes := 0, 0
	for at := off; at < w.s.Next && records < block.RecordsMax && bytes <= block.PayloadBytesMax && w.record(at, &r); at++ {
		records++
		bytes += len(r.Payload)
	}
	b := block.NewBuilder(off, records, min(bytes, block.PayloadBytesMax))
	for at := off; at < w.s.Next && w.record(at, &r) && b.Fits(len(r.Payload)); at++ {
		b.Append(&r, -1)
	}
	return b.Block()
}

// wholeCache shares decoded stretches while somebody reads them.
type wholeCache struct {
	mu sync.Mutex
	m  map[uint64]*sharedWhole
}

type sharedWhole struct {
	mu sync.Mutex
	w  weak.Pointer[whole]
}

// wholeAt returns the stretch decoded; it takes memory as long as it is held.
func (l *Log) wholeAt(s *Stretch) (*whole, error) {
	c := &l.sealed.whole
	c.mu.Lock()
	e := c.m[s.Base]
	if e == nil {
		if c.m == nil {
			c.m = map[uint64]*sharedWhole{}
		}
		e = &sharedWhole{}
		c.m[s.Base] = e
	}
	c.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if w := e.w.Value(); w != nil {
		return w, nil
	}
	w, err := l.decodeWhole(s, l.chunk)
	for errors.Is(err, errMoved) {
		if now, ok := l.stretchAt(s.Base); ok {
			s = &now
		}
		w, err = l.decodeWhole(s, l.chunk)
	}
	if err == nil {
		e.w = weak.Make(w)
	}
	return w, err
}

// forget has the next reader of the stretch decode it anew.
func (c *wholeCache) forget(base uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.m, base)
}
