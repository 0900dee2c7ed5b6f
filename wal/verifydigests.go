package wal

import (
	"fmt"
	"maps"
	"slices"

	"eyrie/wal/block"
)

// Claim is what somebody has read of the log, by its own account.
type Claim struct {
	Who     string
	Part    string         // of the damage that it is if it is not so
	From    uint64         // first offset it is of, DigestsFrom of the log then
	Next    uint64         // first offset it is not of
	Digests *block.Digests // not changed, and by nobody else
}

// sums are digests of the records that a verification has read, at some offsets.
//
// Records that retention has dropped are in the stored digests and not in these.
// But what the stored ones, at the checkpoint, differ by from those at another
// offset is what lies between, and nothing that is still needed is dropped.
type sums struct {
	from uint64 // first offset that counts; noDigests: nobody asks
	at   []uint64
	all  *block.Digests
	seen map[uint64]*block.Digests // by offset of at
	gone map[uint64]int            // by offset of at: how many of expired were
	gaps []uint64                  // offsets at which records are missing
	of   []block.DigestOf

	expired []uint32 // producers, in order

	stored *block.Digests // at the checkpoint
}

// digests reads the stored ones.
func (v *verifier) digests() {
	s := &v.sums
	s.all, s.seen, s.gone = block.NewDigests(), map[uint64]*block.Digests{}, map[uint64]int{}
	r := recovery{l: v.l, producers: v.stored.producers}
	if err := r.loadDigests(v.c.next); err != nil {
		v.damage(Damage{Part: "digests", File: v.file(), Msg: brief(err)})
		r.from = noDigests
	}
	from := r.from
	if s.from = from; from == noDigests {
		return
	}
	s.stored = digestsOf(maps.Values(r.producers), r.unnumbered)
	s.at = append(s.at, v.c.next)
	for _, c := range v.o.Claims {
		if c.From == from {
			s.at = append(s.at, c.Next)
		}
	}
	slices.Sort(s.at)
	s.at = slices.Compact(s.at)
}

// add takes the records of a block.
func (s *sums) add(b *Block) {
	if s.from == noDigests {
		return
	}
	i := 0
	if s.from > b.Base() {
		i = min(int(s.from-b.Base()), b.Len())
	}
	for len(s.at) > 0 && s.at[0] < b.Next() {
		to := i
		if s.at[0] > b.Base() {
			to = max(i, int(s.at[0]-b.Base()))
		}
		s.take(b, i, to)
		s.pass()
		i = to
	}
	s.take(b, i, b.Len())
}

func (s *sums) take(b *Block, from, to int) {
	s.of = b.AppendDigests(s.of[:0], from, to)
	s.all.Add(s.of)
	for i := range s.of {
		if s.of[i].Expired {
			s.expired = append(s.expired, s.of[i].Producer)
		}
	}
}

// pass notes the digests at the next offset asked for.
func (s *sums) pass() {
	s.seen[s.at[0]], s.gone[s.at[0]] = s.all.Copy(), len(s.expired)
	s.at = s.at[1:]
}

// gap tells that records are missing before offset at.
func (s *sums) gap(at uint64) {
	if n := len(s.gaps); n == 0 || s.gaps[n-1] != at {
		s.gaps = append(s.gaps, at)
	}
}

// between tells whether records are missing between two offsets.
func (s *sums) between(a, b uint64) bool {
	a, b = min(a, b), max(a, b)
	return slices.ContainsFunc(s.gaps, func(g uint64) bool { return g >= a && g <= b })
}

// claims compares the stored digests with the records, and the claims with both.
func (v *verifier) claims() {
	s := &v.sums
	if s.from == noDigests {
		return
	}
	for len(s.at) > 0 && s.at[0] == v.next {
		s.pass()
	}
	here := s.seen[v.c.next]
	if here == nil {
		return // the checkpoint is beyond the log's end, which has been told
	}
	end := s.stored.Copy()
	s.all.Differ(here, func(p uint32, in, other block.Digest) {
		d := end.At(p)
		*d = d.Plus(in.Minus(other))
	})
	v.res.Digests = end.Len()
	if !v.lenient {
		v.differ("digests", "the log", v.c.next, s.stored, here)
	}
	for i := range v.o.Claims {
		c := &v.o.Claims[i]
		there := s.seen[c.Next]
		if c.From != s.from || there == nil || s.between(c.Next, v.c.next) {
			continue
		}
		want := s.stored.Copy()
		there.Differ(here, func(p uint32, in, other block.Digest) {
			d := want.At(p)
			*d = d.Plus(in.Minus(other))
		})
		for _, p := range s.expired[min(s.gone[v.c.next], s.gone[c.Next]):max(s.gone[v.c.next], s.gone[c.Next])] {
			switch {
			case c.Next > v.c.next:
				want.Expire(p)
			case v.lenient: // its beginning may be dropped, and nothing stored tells of it any more
				*want.At(p) = c.Digests.Get(p)
			}
		}
		if v.differ(c.Part, c.Who, c.Next, c.Digests, want) == 0 {
			v.res.Agreed = append(v.res.Agreed, c.Who)
		}
	}
}

// differMax bounds the producers that are named one by one.
const differMax = 10

// differ names the producers of which who says something else than the records.
func (v *verifier) differ(part, who string, next uint64, says, is *block.Digests) (n int) {
	says.Differ(is, func(p uint32, in, other block.Digest) {
		if n++; n > differMax {
			return
		}
		v.damage(Damage{Part: part, From: v.sums.from, To: next - 1,
			Msg: fmt.Sprintf("%s has of %s %s, the records say %s", who, v.whose(p), DescribeDigest(in), DescribeDigest(other))})
	})
	if n > differMax {
		v.damage(Damage{Part: part, From: v.sums.from, To: next - 1, Msg: fmt.Sprintf("%s differs from the records for %d producers more", who, n-differMax)})
	}
	return n
}

func (v *verifier) whose(p uint32) string {
	if pr := v.stored.producers[p]; pr != nil {
		return pr.key.Describe(p)
	}
	if pr := v.folded.producers[p]; pr != nil {
		return pr.key.Describe(p)
	}
	return (&ProducerKey{}).Describe(p)
}

// Describe names a producer for people: its number, and whose it is if k says so.
func (k *ProducerKey) Describe(num uint32) string {
	switch {
	case num == block.Unnumbered:
		return "records that no producer numbers"
	case k.Owner == "":
		return fmt.Sprintf("producer %d", num)
	}
	return fmt.Sprintf("producer %d (%s/%s/%x)", num, k.Space, k.Owner, k.ID)
}

// DescribeDigest writes a digest for people.
func DescribeDigest(d block.Digest) string {
	return fmt.Sprintf("%d numbers, %d of them stored, digest %016x", d.Settled, d.Stored, d.Sum)
}
