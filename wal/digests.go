package wal

import (
	"encoding/binary"
	"errors"
	"iter"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"eyrie/wal/block"
)

// The writer keeps a digest of what it has taken of each producer. They are
// stored with the checkpoint of the tables, folded on from there at open, and
// shown to whoever asks: what was read from the log must add up to the same.

// DigestsAt are the digests of the records below Next. They are not to be changed.
type DigestsAt struct {
	Next    uint64
	Digests *block.Digests
}

// AskDigests has the digests shown with one of the next commits. It costs the
// writer some 20 ns a producer.
func (l *Log) AskDigests() { l.digestsAsked.Store(true) }

// Digests returns the digests shown last. They are there before any record from
// their Next on can be read.
func (l *Log) Digests() *DigestsAt { return l.digests.Load() }

// DigestsFrom returns the first offset that the digests are of: 1, but for a log
// that was begun without them, has accepted a loss, or was cut off at a point
// from which its beginning cannot be read any more.
func (l *Log) DigestsFrom() uint64 { return l.digestsFrom }

// Gone tells whether the log knows that offsets between from and to, that a
// reader did not get, are gone: in a hole, or dropped by retention.
func (l *Log) Gone(from, to uint64) bool {
	for from <= to {
		at := l.behindHoles(from)
		if s, ok := l.stretchAt(at); ok && s.Dropped != 0 {
			at = s.Next
		} else if first := l.First(); at < first {
			at = first
		}
		if at == from {
			return false
		}
		from = at
	}
	return true
}

// Value of the key "mdigests": first offset that is digested 8, the checkpoint's
// next 8, digest of the records that no producer numbers 24. Where the second is
// not what the checkpoint says, a release that knows no digests has written that,
// and they begin anew. A producer's digest stands in its own row.

// noDigests is where the digests begin of a store that has none.
const noDigests = math.MaxUint64

const digestBytes = 24

func appendDigest(dst []byte, d block.Digest) []byte {
	for _, x := range [...]uint64{d.Stored, d.Settled, d.Sum} {
		dst = binary.LittleEndian.AppendUint64(dst, x)
	}
	return dst
}

// cutDigest is the other end of appendDigest; of nothing it is the zero digest.
func cutDigest(p []byte) (d block.Digest) {
	if le := binary.LittleEndian; len(p) >= digestBytes {
		d = block.Digest{Stored: le.Uint64(p), Settled: le.Uint64(p[8:]), Sum: le.Uint64(p[16:])}
	}
	return d
}

// loadDigests takes the digests of the tables, whose checkpoint stands at next.
// Those of a store that has none begin at its end.
func (r *recovery) loadDigests(next uint64) (err error) {
	r.from, r.unnumbered = noDigests, block.Digest{}
	if next == 1 {
		r.from = 1 // there was no checkpoint yet
	}
	err = r.l.get([]byte(metaDigests), func(v []byte) error {
		if len(v) != 16+digestBytes {
			return errors.New("the log's digests are damaged")
		}
		if binary.LittleEndian.Uint64(v[8:]) == next {
			r.from, r.unnumbered = binary.LittleEndian.Uint64(v), cutDigest(v[16:])
		}
		return nil
	})
	if r.from == noDigests {
		r.forgetDigests()
	}
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	return err
}

// forgetDigests has them begin anew.
func (r *recovery) forgetDigests() {
	r.unnumbered = block.Digest{}
	for _, p := range r.producers {
		if p.digest != (block.Digest{}) {
			p.digest, p.dirty = block.Digest{}, true
		}
	}
}

// sum adds the records of a block to the digests. A producer that is not known
// has expired later in the block, or its dictionary record is lost.
func (r *recovery) sum(b *Block) {
	if b.Next() <= r.from {
		return
	}
	r.of = b.AppendDigests(r.of[:0], int(max(r.from, b.Base())-b.Base()), b.Len())
	for i := range r.of {
		if o := &r.of[i]; o.Producer == block.Unnumbered {
			r.unnumbered = r.unnumbered.Plus(o.Digest)
		} else if p := r.producers[o.Producer]; p != nil {
			p.digest, p.dirty = p.digest.Plus(o.Digest), true
		}
	}
}

// digestsOf makes a table of the producers' digests.
func digestsOf(ps iter.Seq[*producer], unnumbered block.Digest) *block.Digests {
	d := block.NewDigests()
	*d.At(block.Unnumbered) = unnumbered
	for p := range ps {
		if p != nil && p.digest != (block.Digest{}) {
			*d.At(p.num) = p.digest
		}
	}
	return d
}

// putDigests adds what a checkpoint that stands at next says of digests from an
// offset on.
func putDigests(ops []op, unnumbered block.Digest, from, next uint64) []op {
	v := binary.LittleEndian.AppendUint64(nil, from)
	v = binary.LittleEndian.AppendUint64(v, next)
	return append(ops, op{[]byte(metaDigests), appendDigest(v, unnumbered)})
}
