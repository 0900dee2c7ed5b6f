package views

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"eyrie/wal"
	"eyrie/wal/block"
)

// digests are what was handed to folds, by producer, and are compared with the
// log's at every offset at which that shows its own. The runner has those of what
// it reads; a fold has none of its own as long as it is given all of that.
type digests struct {
	of *block.Digests
	// from is the first offset they are of, that of the log's. 0: something was
	// not handed over that the log knows to be gone, or they come from a release
	// without digests; they are taken from the log at the next offset it shows.
	from   uint64
	target *wal.DigestsAt // to be compared at its Next
	last   *wal.DigestsAt // compared, or passed before it was seen
	buf    []block.DigestOf
}

// piece are records of b that a fold was given, or that it has set aside.
type piece struct {
	b    *block.Block
	i, j int
}

// Differs tells that a fold was not given what the log holds.
type Differs struct {
	Fold        string
	After, Next uint64       // it was still so at After, and not any more at Next
	Producers   int          // that differ
	Some        []Difference // the first differsMax of them
}

// Difference is that of one producer.
type Difference struct {
	Producer uint32
	Whose    string // for people
	View     block.Digest
	Log      block.Digest
}

const differsMax = 10

// String says it all in a line.
func (d *Differs) String() string {
	s := fmt.Sprintf("view %s was not given what the log holds between offsets %d and %d, for %d producers", d.Fold, d.After, d.Next-1, d.Producers)
	for _, x := range d.Some {
		s += fmt.Sprintf("; %s: %s, the log %s", x.Whose, wal.DescribeDigest(x.View), wal.DescribeDigest(x.Log))
	}
	return s
}

// took adds records of b from index i to below j; whole, if not nil, are the
// digests of all of b. told is called where these are held to the log's, with how
// they differ, nil for not at all.
func (d *digests) took(l Log, b *block.Block, i, j int, whole []block.DigestOf, told func(next uint64, x *Differs)) {
	at := b.Base() + uint64(i)
	if d.target == nil {
		if t := l.Digests(); t != nil && t != d.last {
			if d.last = t; t.Next >= at {
				d.target = t
			}
		}
	}
	if t := d.target; t != nil && t.Next <= b.Base()+uint64(j) {
		mid := i
		if t.Next > at {
			mid = int(t.Next - b.Base())
		}
		d.add(b, i, mid, whole)
		told(t.Next, d.compare(l, t))
		i = mid
	}
	d.add(b, i, j, whole)
}

func (d *digests) add(b *block.Block, i, j int, whole []block.DigestOf) {
	if d.from > b.Base()+uint64(i) {
		i = int(min(d.from-b.Base(), uint64(j)))
	}
	switch {
	case i >= j || d.from == 0:
	case whole != nil && j-i == b.Len():
		d.of.Add(whole)
	default:
		d.buf = b.AppendDigests(d.buf[:0], i, j)
		d.of.Add(d.buf)
	}
}

// compare holds them to what the log shows, at the same offset.
func (d *digests) compare(l Log, t *wal.DigestsAt) (x *Differs) {
	d.target = nil
	if d.from == 0 {
		d.of, d.from = t.Digests.Clone(), l.DigestsFrom()
		return nil
	}
	d.of.Differ(t.Digests, func(p uint32, view, log block.Digest) {
		if x == nil {
			x = &Differs{Next: t.Next}
		}
		if x.Producers++; x.Producers <= differsMax {
			s, _ := l.Producer(p)
			x.Some = append(x.Some, Difference{Producer: p, Whose: s.Key.Describe(p), View: view, Log: log})
		}
	})
	return x
}

// missed notes that the next records are from offset next on, not from at.
// Where the log knows what lies between to be gone, there is nothing to compare
// until it shows its digests again.
func (d *digests) missed(l Log, at, next uint64) {
	if at < next && next > d.from && l.Gone(max(at, d.from), next-1) {
		d.lost(next)
	}
}

// lost gives up what was known before offset next.
func (d *digests) lost(next uint64) {
	if d.from = 0; d.target != nil && d.target.Next < next {
		d.target = nil
	}
}

// took notes that f was given records of b, or has set them aside.
func (f *member) took(l Log, b *block.Block, i, j int) {
	if f.own == nil {
		f.pieces = append(f.pieces, piece{b, i, j})
		return
	}
	was := f.own.of
	f.own.missed(l, f.ownNext, b.Base()+uint64(i))
	f.own.took(l, b, i, j, nil, f.held)
	if f.own.of != was {
		f.rewrite = true // they were taken from the log
	}
	f.ownNext = b.Base() + uint64(j)
}

// held is told that what f was given was held to the log's digests.
func (f *member) held(next uint64, x *Differs) {
	f.compared.Inc()
	if f.tried = false; x == nil {
		f.agreed.Store(next)
		f.differs.Store(nil)
		return
	}
	y := *x
	y.Fold, y.After = f.name, f.agreed.Load()
	if f.differs.CompareAndSwap(nil, &y) && f.told != nil {
		f.told(&y)
	}
}

// all tells whether f was given all of t from offset next on, once, in order.
func (f *member) all(t *turn, next uint64) bool {
	n := 0
	for _, b := range t.blocks {
		if b.Next() <= next {
			continue
		}
		want := piece{b, int(max(next, b.Base()) - b.Base()), b.Len()}
		if n >= len(f.pieces) || f.pieces[n] != want {
			return false
		}
		n++
	}
	return n == len(f.pieces)
}

// reckon begins with the digests of the fold that is behind all others.
func (r *Runner) reckon() {
	if len(r.folds) == 0 {
		r.given.of, r.givenNext = block.NewDigests(), r.o.Log.Next()
	}
	for _, f := range r.folds {
		if r.given.of == nil || f.next < r.givenNext {
			r.given, r.givenNext = *f.own, f.next
		}
	}
	r.known = r.given.of
	for _, f := range r.folds {
		r.join(f)
	}
}

// join has f do without digests of its own if they are those of what was read.
func (r *Runner) join(f *member) {
	if f.own == nil || f.tried || f.next != r.givenNext {
		return
	}
	f.tried = true
	switch own := f.own; {
	case own.of == r.given.of:
		f.flushed = own.of.Mark()
	case own.from == 0 || own.from != r.given.from || !own.of.Same(r.given.of):
		return
	default:
		f.rewrite = true
	}
	f.own = nil
}

// account adds a turn that the folds have applied to what was read, and finds
// who was given something else.
func (r *Runner) account(t *turn) {
	l := r.o.Log
	for _, f := range r.folds {
		if f.own == nil && f.halted.Load() == nil && !f.all(t, r.givenNext) {
			f.own, f.ownNext, f.rewrite = &digests{of: r.given.of.Copy(), from: r.given.from, target: r.given.target, last: r.given.last}, r.givenNext, true
			for _, p := range f.pieces {
				f.took(l, p.b, p.i, p.j)
			}
		}
		clear(f.pieces)
		f.pieces = f.pieces[:0]
	}
	if t.lost > r.givenNext {
		r.given.lost(t.lost)
	}
	for i, b := range t.blocks {
		if b.Next() <= r.givenNext {
			continue
		}
		from := max(r.givenNext, b.Base())
		r.given.missed(l, r.givenNext, from)
		r.given.took(l, b, int(from-b.Base()), b.Len(), t.digests[i], r.held)
		r.givenNext = b.Next()
	}
	for _, f := range r.folds {
		r.join(f)
	}
}

// held tells the folds that are given all that is read.
func (r *Runner) held(next uint64, x *Differs) {
	for _, f := range r.folds {
		if f.own != nil {
			continue
		}
		if r.known != r.given.of {
			f.rewrite = true // they were taken from the log
		}
		if f.halted.Load() == nil {
			f.held(next, x)
		}
	}
	r.known = r.given.of
}

func digestsKey(name string) []byte {
	return append(append([]byte{keyPrefix, keyDigests}, name...), 0)
}

func digestsEnd(name string) []byte {
	return append(append([]byte{keyPrefix, keyDigests}, name...), 1)
}

// begin has f's digests begin before the log's first record.
func (f *member) begin(l Log) {
	f.restart(&digests{of: block.NewDigests(), from: l.DigestsFrom()}, 1)
	f.rewrite = true
}

// restart has f go on at offset next with digests of its own.
func (f *member) restart(d *digests, next uint64) {
	f.own, f.ownNext, f.pieces, f.tried, f.rewrite = d, next, f.pieces[:0], false, false
	f.flushed = d.of.Mark()
}

// resume takes those that were saved with c.
func (f *member) resume(r pebble.Reader, c *cursor, l Log) error {
	if c.digests == 0 || c.digests != l.DigestsFrom() {
		f.restart(&digests{of: block.NewDigests()}, c.next)
		f.rewrite = true
		return nil
	}
	of, err := readDigests(r, f.name)
	if err == nil {
		f.restart(&digests{of: of, from: c.digests}, c.next)
	}
	return err
}

// readDigests reads the rows of a fold of that name.
func readDigests(r pebble.Reader, name string) (*block.Digests, error) {
	of := block.NewDigests()
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: digestsKey(name), UpperBound: digestsEnd(name)})
	if err != nil {
		return nil, err
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		var v []byte
		k := it.Key()[len(name)+3:]
		if v, err = it.ValueAndErr(); err != nil {
			break
		}
		if len(k) != 4 {
			err = errCorrupt
			break
		}
		err = of.Load(binary.BigEndian.Uint32(k), v)
	}
	return of, errors.Join(err, it.Error(), it.Close())
}

// saveDigests adds what has changed since the last save to a batch and returns
// the first offset that they are of, 0 for none. mark is the epoch that what was
// read by the runner has ended.
func (r *Runner) saveDigests(w *pebble.Batch, f *member, mark uint64) (from uint64, err error) {
	d := &r.given
	if f.own != nil {
		d, mark = f.own, f.own.of.Mark()
	} else if f.next != r.givenNext {
		return 0, fmt.Errorf("views: %s stands at %d, what was read at %d", f.name, f.next, r.givenNext)
	}
	if d.from == 0 {
		f.rewrite = true
		return 0, nil
	}
	after := f.flushed
	if f.rewrite {
		after = 0
		if err := w.DeleteRange(digestsKey(f.name), digestsEnd(f.name), nil); err != nil {
			return 0, err
		}
	}
	f.rewrite, f.flushed = false, mark
	return d.from, d.of.Pages(after, func(page uint32, v []byte) error {
		k := binary.BigEndian.AppendUint32(digestsKey(f.name), page)
		if v == nil {
			return w.Delete(k, nil)
		}
		return w.Set(k, v, nil)
	})
}
