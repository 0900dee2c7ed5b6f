package block

import (
	"encoding/binary"
	"errors"
	"slices"
)

// Digests holds a Digest of each producer, in pages that are shared with copies
// until one of them is written to: a copy costs two words for 256 producers. One
// goroutine writes to it; a copy is its receiver's.
type Digests struct {
	pages []digestSlot
	epoch uint64 // pages written to in it are shared with nobody
}

// DigestsPage is how many producers share a page.
const DigestsPage = 256

type digestPage [DigestsPage]Digest

type digestSlot struct {
	p     *digestPage // nil: no producer of the page has a digest
	epoch uint64      // of the last change
}

// NewDigests returns a table without producers.
func NewDigests() *Digests { return &Digests{epoch: 1} }

// Mark ends an epoch and returns it: what changes from now on is of a later one.
func (t *Digests) Mark() uint64 {
	t.epoch++
	return t.epoch - 1
}

// Copy returns a copy, all of it of the epoch that it ends.
func (t *Digests) Copy() *Digests {
	t.Mark()
	return t.Clone()
}

// Clone is Copy for a table that nobody writes to any more; several goroutines
// may take one each.
func (t *Digests) Clone() *Digests {
	return &Digests{pages: slices.Clone(t.pages), epoch: t.epoch + 1}
}

// At returns the digest of a producer, to be changed before the next call.
func (t *Digests) At(producer uint32) *Digest {
	if i := int(producer / DigestsPage); i < len(t.pages) {
		if s := &t.pages[i]; s.epoch == t.epoch && s.p != nil {
			return &s.p[producer%DigestsPage]
		}
	}
	return t.own(producer)
}

func (t *Digests) own(producer uint32) *Digest {
	i := int(producer / DigestsPage)
	for i >= len(t.pages) {
		t.pages = append(t.pages, digestSlot{})
	}
	p := new(digestPage)
	if old := t.pages[i].p; old != nil {
		*p = *old
	}
	t.pages[i] = digestSlot{p, t.epoch}
	return &p[producer%DigestsPage]
}

// Get returns the digest of a producer; the zero one of none.
func (t *Digests) Get(producer uint32) Digest {
	if i := int(producer / DigestsPage); i < len(t.pages) && t.pages[i].p != nil {
		return t.pages[i].p[producer%DigestsPage]
	}
	return Digest{}
}

// Expire forgets a producer.
func (t *Digests) Expire(producer uint32) {
	if t.Get(producer) == (Digest{}) {
		return
	}
	*t.At(producer) = Digest{}
	if s := &t.pages[producer/DigestsPage]; *s.p == (digestPage{}) {
		s.p = nil
	}
}

// Add adds what AppendDigests returned.
func (t *Digests) Add(ds []DigestOf) {
	for i := range ds {
		o := &ds[i]
		if o.Expired {
			t.Expire(o.Producer)
			continue
		}
		d := t.At(o.Producer)
		d.Stored += o.Digest.Stored
		d.Settled += o.Digest.Settled
		d.Sum += o.Digest.Sum
	}
}

// Len returns how many producers have a digest.
func (t *Digests) Len() (n int) {
	t.Differ(&Digests{}, func(uint32, Digest, Digest) { n++ })
	return n
}

// Differ calls fn for each producer whose digests in t and u are not the same, ascending.
func (t *Digests) Differ(u *Digests, fn func(producer uint32, in, other Digest)) {
	var none digestPage
	page := func(t *Digests, i int) *digestPage {
		if i < len(t.pages) && t.pages[i].p != nil {
			return t.pages[i].p
		}
		return &none
	}
	for i := range max(len(t.pages), len(u.pages)) {
		p, q := page(t, i), page(u, i)
		if p == q || *p == *q {
			continue
		}
		for j := range p {
			if p[j] != q[j] {
				fn(uint32(i*DigestsPage+j), p[j], q[j])
			}
		}
	}
}

// Same tells that all digests are.
func (t *Digests) Same(u *Digests) bool {
	same := true
	t.Differ(u, func(uint32, Digest, Digest) { same = false })
	return same
}

// A stored page: for each producer with a digest, ascending, as uvarints but for
// the sum: its place in the page less one less the place before, Settled, Settled
// less Stored, Sum 8; then the CRC32C of all of it.

// Pages calls fn for each page changed after the epoch, ascending, with its number
// and its bytes, which are fn's; nil for a page without producers.
func (t *Digests) Pages(after uint64, fn func(page uint32, value []byte) error) error {
	for i := range t.pages {
		s := &t.pages[i]
		if s.epoch <= after {
			continue
		}
		var v []byte
		if s.p != nil {
			v = s.p.append(nil)
		}
		if err := fn(uint32(i), v); err != nil {
			return err
		}
	}
	return nil
}

func (p *digestPage) append(v []byte) []byte {
	last := -1
	for j := range p {
		d := &p[j]
		if *d == (Digest{}) {
			continue
		}
		v = binary.AppendUvarint(v, uint64(j-last-1))
		v = binary.AppendUvarint(v, d.Settled)
		v = binary.AppendUvarint(v, d.Settled-d.Stored)
		v = binary.LittleEndian.AppendUint64(v, d.Sum)
		last = j
	}
	return binary.LittleEndian.AppendUint32(v, checksum(v))
}

var errDigests = errors.New("a page of digests is damaged")

// Load takes a page that Pages gave out.
func (t *Digests) Load(page uint32, v []byte) error {
	if len(v) < 4 || checksum(v[:len(v)-4]) != binary.LittleEndian.Uint32(v[len(v)-4:]) || page > ^uint32(0)/DigestsPage {
		return errDigests
	}
	v = v[:len(v)-4]
	t.own(page * DigestsPage)
	p := t.pages[page].p
	for last := -1; len(v) > 0; {
		var x [3]uint64
		for i := range x {
			n, k := binary.Uvarint(v)
			if k <= 0 {
				return errDigests
			}
			x[i], v = n, v[k:]
		}
		if x[0] >= DigestsPage || last+1+int(x[0]) >= DigestsPage || len(v) < 8 {
			return errDigests
		}
		last += 1 + int(x[0])
		p[last] = Digest{Settled: x[1], Stored: x[1] - x[2], Sum: binary.LittleEndian.Uint64(v)}
		v = v[8:]
	}
	return nil
}
