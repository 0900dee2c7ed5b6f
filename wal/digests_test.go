package wal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"eyrie/wal/block"
)

// digestPlainly adds records up the plain way, those from offset from on.
func digestPlainly(recs []Record, from uint64) *block.Digests {
	d := block.NewDigests()
	for i := range recs {
		r := &recs[i]
		if r.Offset < from {
			continue
		}
		if r.Kind.Numbered() {
			d.At(r.Producer).Add(r)
		} else {
			d.At(block.Unnumbered).Add(r)
		}
		if r.Kind == KindExpired {
			d.Expire(r.Producer)
		}
	}
	return d
}

// digested holds the digests shown last to all records below their end, where
// those are all of them that ever were.
func (r *rig) digested(recs []Record) (err error) {
	at := r.Digests()
	if uint64(len(recs)) < at.Next-1 {
		return fmt.Errorf("%d records, digests below %d", len(recs), at.Next)
	}
	at.Digests.Differ(digestPlainly(recs[:at.Next-1], r.DigestsFrom()), func(p uint32, in, other block.Digest) {
		err = fmt.Errorf("producer %d: %s, the records say %s", p, DescribeDigest(in), DescribeDigest(other))
	})
	return err
}

// TestDigestsAreShown asks a log for its digests while it is written, sealed and
// reopened, and adds up what a follower reads.
func TestDigestsAreShown(t *testing.T) {
	fs, c := newMem(), newClock()
	o := sealing(small(fs))
	o.Now = c.now
	r := mustOpen(t, o)
	load := newCrowd(3, c)
	shown := uint64(0)
	for i := range 40 {
		if i%3 == 0 {
			r.AskDigests()
		}
		if err := load.turn(r.w, 50); err != nil {
			t.Fatal(err)
		}
		r.mustCommit(t)
		if at := r.Digests(); at.Next > shown {
			shown = at.Next
		} else if i%3 == 0 {
			t.Fatalf("asked at %d, and not shown", r.Next())
		}
		if i%10 == 9 {
			if err := r.Seal(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := r.digested(r.all(t)); err != nil {
				t.Fatal(err)
			}
			r.mustClose(t)
			r = mustOpen(t, o)
			if at := r.Digests(); at.Next != r.Next() || r.DigestsFrom() != 1 {
				t.Fatalf("opened with digests from %d to %d, the log ends at %d", r.DigestsFrom(), at.Next, r.Next())
			}
		}
	}
	if err := r.digested(r.all(t)); err != nil {
		t.Fatal(err)
	}
	r.mustClose(t)
	if res := intact(t, o); res.Digests < 3 {
		t.Errorf("%d digests", res.Digests)
	}
}

// TestDigestsOfAnotherRelease: a store whose checkpoint was written by one that
// knows none begins them at its end.
func TestDigestsOfAnotherRelease(t *testing.T) {
	o := small(newMem())
	r := filled(t, o, 500)
	r.mustClose(t)
	for _, stale := range []bool{true, false} {
		if err := o.defaults(); err != nil {
			t.Fatal(err)
		}
		l := newLog(o)
		_, err := l.openStore()
		if stale {
			err = errors.Join(err, l.db.Set([]byte(metaDigests), make([]byte, 40), pebble.Sync))
		} else {
			err = errors.Join(err, l.db.Delete([]byte(metaDigests), pebble.Sync))
		}
		if err = errors.Join(err, l.abandon()); err != nil {
			t.Fatal(err)
		}
		if res := intact(t, o); res.Digests != 0 {
			t.Errorf("%d digests", res.Digests)
		}
		r = mustOpen(t, o)
		if got := r.DigestsFrom(); got != r.Next() {
			t.Errorf("digests from %d on, the log ends at %d", got, r.Next())
		}
		fill(t, r, 300)
		r.AskDigests()
		fill(t, r, 100)
		if err := r.digested(r.all(t)); err != nil {
			t.Error(err)
		}
		r.mustClose(t)
		if res := intact(t, o); res.Digests == 0 {
			t.Error("no digests")
		}
	}
}

// TestClaims holds what a reader says that it has read to a log of which
// retention has dropped some, before and behind the checkpoint.
func TestClaims(t *testing.T) {
	c := newClock()
	o := sealing(small(newMem()))
	o.Now, o.CheckpointBytes = c.now, 20_000
	r := mustOpen(t, o)
	load := newCrowd(5, c)
	turns := func(n int) {
		t.Helper()
		for range n {
			if err := load.turn(r.w, 40); err != nil {
				t.Fatal(err)
			}
			r.mustCommit(t)
		}
	}
	turns(60)
	if err := r.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	turns(10)
	all := r.all(t)
	r.o.Retain.Bytes = 1
	if done, err := r.Retain(t.Context()); err != nil || done.Dropped == 0 {
		t.Fatalf("%+v %v", done, err)
	}
	turns(3)
	all = append(all, r.all(t)[len(r.all(t))-int(r.Next()-1-uint64(len(all))):]...)
	r.mustClose(t)
	rng := rand.New(rand.NewPCG(1, 2))
	claim := func(next uint64) Claim {
		return Claim{Who: "somebody", Part: "view", From: 1, Next: next, Digests: digestPlainly(all[:next-1], 1)}
	}
	least := r.Sealed()
	for range 20 {
		good := claim(least + rng.Uint64N(uint64(len(all))+2-least))
		res, err := Verify(context.Background(), VerifyOptions{Log: o, Claims: []Claim{good}})
		if err != nil || len(res.Damages) != 0 || len(res.Agreed) != 1 {
			t.Fatalf("up to %d: %v %v %v", good.Next, err, damages(res), res.Agreed)
		}
		bad := claim(good.Next)
		twice := all[least+rng.Uint64N(good.Next-least)-1]
		if twice.Kind != KindEvent {
			continue
		}
		bad.Digests.At(twice.Producer).Add(&twice)
		res, err = Verify(context.Background(), VerifyOptions{Log: o, Claims: []Claim{bad}})
		if got := fmt.Sprint(damages(res)); err != nil || len(res.Agreed) != 0 || !strings.Contains(got, fmt.Sprintf("somebody has of producer %d ", twice.Producer)) {
			t.Fatalf("up to %d: %v %v", bad.Next, err, got)
		}
	}
}

// BenchmarkDigests is what an event costs the writer, and what it costs three
// views, by how many producers send.
func BenchmarkDigests(b *testing.B) {
	digest := os.Getenv("EYRIE_DIGEST") != "off"
	for _, producers := range []int{1, 100, 65_000} {
		var blocks []*Block
		off, seq := uint64(1), uint64(0)
		for n := 0; n < 200_000; n += block.RecordsMax {
			bl := block.NewBuilder(off, block.RecordsMax, 0)
			for range block.RecordsMax {
				seq++
				p := uint32(seq*7919)%uint32(producers) + 1
				bl.Event(p, seq, 1, 2, p, 7, int64(off)*1000, nil, -1)
				off++
			}
			blocks = append(blocks, bl.Block())
		}
		b.Run(fmt.Sprintf("log/producers=%d", producers), func(b *testing.B) {
			ps := make([]*producer, producers+1)
			for i := range ps {
				ps[i] = &producer{}
			}
			seq := uint64(0)
			for range b.N {
				seq++
				p := ps[uint32(seq*7919)%uint32(producers)+1]
				p.next = seq + 1 // what the writer touches in any case
				if digest {
					p.digest.AddEvent(seq, seq, int64(seq), p.num, p.num, 7, 1, 2)
				}
			}
		})
		b.Run(fmt.Sprintf("views/producers=%d", producers), func(b *testing.B) {
			given := block.NewDigests()
			var of []block.DigestOf
			for n := 0; n < b.N; n += block.RecordsMax {
				bl := blocks[n/block.RecordsMax%len(blocks)]
				of = bl.AppendDigests(of[:0], 0, bl.Len())
				given.Add(of)
			}
		})
	}
}
