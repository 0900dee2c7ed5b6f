package wal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"eyrie/wal/stretch"
)

// fataler is testing.TB or *rapid.T.
type fataler interface {
	Helper()
	Fatalf(string, ...any)
}

// checkFind holds Find, page by page, against a look at every record.
func checkFind(t fataler, r *rig, q Query) {
	t.Helper()
	all, err := r.readAll()
	if err != nil {
		t.Fatalf("%v", err)
	}
	to := q.ToOffset
	if to == 0 || to > r.Next() {
		to = r.Next()
	}
	slow := q
	slow.ToOffset = to
	slices.Sort(slow.Agents)
	var want []Record
	for i := range all {
		if slow.is(&all[i]) {
			want = append(want, all[i])
		}
	}
	if q.Reverse {
		slices.Reverse(want)
	}
	var got []Record
	for pages := 0; ; pages++ {
		recs, next, err := r.Find(context.Background(), q)
		if err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		got = append(got, recs...)
		if next == 0 {
			break
		}
		if pages > len(all) {
			t.Fatalf("%+v: %d pages and no end, at %d", q, pages, next)
		}
		if q.Reverse {
			q.ToOffset = next
		} else {
			q.FromOffset = next
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%+v: %d records, want %d", q, len(got), len(want))
	}
	for i := range got {
		if !equal(got[i], want[i]) {
			t.Fatalf("%+v: record %d is %v, want %v", q, i, got[i], want[i])
		}
	}
}

// equal compares records; a payload without bytes may be nil or empty.
func equal(a, b Record) bool {
	same := bytes.Equal(a.Payload, b.Payload)
	a.Payload, b.Payload = nil, nil
	return same && reflect.DeepEqual(a, b)
}

// sealing are options with which a log seals nearly everything, by hand.
func sealing(o Options) Options {
	o.keptHot, o.CacheBytes = 1, 1
	o.Seal = SealOptions{Off: true, Bytes: 16 << 10, Tier: func(r *Record) uint8 { return r.Class % 3 }}
	return o
}

// filled is a log of n events of 50 agents, with a few records of other kinds, of
// which some runs of blocks were sealed.
func filled(t testing.TB, o Options, n int) *rig {
	t.Helper()
	r := mustOpen(t, o)
	fill(t, r, n)
	return r
}

func fill(t testing.TB, r *rig, n int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(7, uint64(n)))
	p, wel := r.mustFence(t, 1, 1, 0)
	for i := range n {
		a := r.w.Agent([]byte("main"), fmt.Appendf(nil, "agent-%d", rng.IntN(50)))
		payload := bytes.Repeat(fmt.Appendf(nil, "%d ", rng.IntN(1000)), rng.IntN(40))
		if v := r.w.Append(p, wel.Next+uint64(i), uint8(rng.IntN(5)), uint8(rng.IntN(4)), a, uint32(rng.IntN(9)), r.o.Now().UnixNano(), payload); v != Stored {
			t.Fatal(v)
		}
		if i%100 == 99 {
			r.mustCommit(t)
			if c, ok := r.o.Rand.(interface{ add(time.Duration) }); ok {
				c.add(time.Second)
			}
		}
	}
	r.mustCommit(t)
}

func holds(word string) func(*Record) bool {
	return func(r *Record) bool { return bytes.Contains(r.Payload, []byte(word)) }
}

func lacks(word string) Skip {
	return Skip{
		Texts: func(may func([]byte) bool) bool { return !may([]byte(word)) },
		Payloads: func(payloads [][]byte) bool {
			return !slices.ContainsFunc(payloads, func(p []byte) bool { return bytes.Contains(p, []byte(word)) })
		},
	}
}

func TestSealedReadsTheSame(t *testing.T) {
	t.Parallel()
	fs := newMem()
	clk := newClock()
	o := sealing(small(fs))
	o.Now = func() time.Time { clk.add(time.Millisecond); return clk.now() }
	r := filled(t, o, 20_000)
	want := r.all(t)
	holding := r.Follow(1)
	if _, err := holding.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(r.Stretches()); n < 5 || r.Sealed() < r.Next()-2000 {
		t.Fatalf("%d stretches, sealed %d of %d", n, r.Sealed(), r.Next())
	}
	same := func(got []Record) {
		t.Helper()
		if len(got) != len(want) {
			t.Fatalf("%d records, want %d", len(got), len(want))
		}
		for i := range got {
			if !equal(got[i], want[i]) {
				t.Fatalf("record %d is %v, want %v", i, got[i], want[i])
			}
		}
	}
	same(r.all(t))
	for holding.Offset() < r.Next() { // a reader under way
		if _, err := holding.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	mid := want[len(want)/2].Recv
	for _, q := range []Query{
		{Limit: 7}, {Limit: 1000, Reverse: true}, {Agents: []uint32{3}, Limit: 5}, {Agents: []uint32{49, 7, 7}, Limit: 11, Reverse: true},
		{Key: 5, Limit: 100}, {Key: 5, Agents: []uint32{2}}, {Key: 4000, Reverse: true}, {Classes: 1 << 4, Limit: 50}, {Classes: 1 << 2, Reverse: true},
		{Kinds: KindAgentDict.Mask()}, {FromRecv: mid, Limit: 33}, {ToRecv: mid, Limit: 33, Reverse: true}, {FromRecv: mid, ToRecv: mid + 5e6, Reverse: true},
		{FromOffset: 900, ToOffset: 17_000, Limit: 999}, {FromOffset: 900, ToOffset: 950, Reverse: true},
		{Limit: 100, Match: func(r *Record) bool { return bytes.Contains(r.Payload, []byte("77")) }},
		{Limit: 9, Match: holds("777 "), Skip: lacks("777 ")}, {Limit: 2, Reverse: true, Match: holds("12 12"), Skip: lacks("12 12")},
		{FromOffset: 900, ToOffset: 17_000, Match: holds("5 "), Skip: lacks("5 ")}, {Match: holds("1000 "), Skip: lacks("1000 ")},
		{Limit: 100, Budget: Budget{Bytes: 1}}, {Limit: 100, Reverse: true, Budget: Budget{Bytes: 1}}, {Limit: 500, Budget: Budget{Time: 1}}, {Limit: 500, Reverse: true, Budget: Budget{Time: 1}},
	} {
		checkFind(t, r, q)
	}
	for _, off := range []uint64{1, 2, 500, 7_777, r.Sealed() - 1, r.Sealed(), r.Next() - 1} {
		for _, read := range []func() (Record, error){func() (Record, error) { return r.Read(off) }, func() (Record, error) { return r.ReadOf(off, want[off-1].Agent) }} {
			if got, err := read(); err != nil || !equal(got, want[off-1]) {
				t.Errorf("offset %d: %v %v, want %v", off, got, err, want[off-1])
			}
		}
	}
	if _, err := r.ReadOf(7_777, want[7_776].Agent+1); !errors.Is(err, ErrNotFound) {
		t.Errorf("another agent's record: %v", err)
	}
	sealed := r.Sealed()
	r.mustClose(t)
	r = mustOpen(t, o)
	same(r.all(t))
	if r.Sealed() != sealed {
		t.Errorf("sealed up to %d, was %d", r.Sealed(), sealed)
	}
	fill(t, r, 3000)
	if err := r.Seal(t.Context()); err != nil || r.Sealed() <= sealed {
		t.Errorf("sealed up to %d, was %d, %v", r.Sealed(), sealed, err)
	}
	r.mustClose(t)
}

// The log seals by itself, leaves what the next open needs, and gives the space
// of the blocks back.
func TestSealsByItself(t *testing.T) {
	fs := newMem()
	o := small(fs)
	o.MemtableBytes, o.GroupBytes = 64<<10, 16<<10
	o.Seal.Bytes = 64 << 10
	r := mustOpen(t, o)
	defer r.mustClose(t)
	p, wel := r.mustFence(t, 1, 1, 0)
	buf := make([]byte, 1000)
	rng := rand.NewChaCha8([32]byte{1})
	for i := range 3000 {
		_, _ = rng.Read(buf)
		if v := r.w.Append(p, wel.Next+uint64(i), 0, 0, 0, 0, 1, buf); v != Stored {
			t.Fatal(v)
		}
		if i%50 == 49 {
			r.mustCommit(t)
		}
	}
	r.mustCommit(t)
	for until := time.Now().Add(20 * time.Second); r.sealer.hot.Load() > r.keptHot()+2*o.Seal.Bytes; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%d bytes of blocks stay, sealed up to %d of %d", r.sealer.hot.Load(), r.Sealed(), r.Next())
		}
	}
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) { // readers are told before the blocks go
		left, err := r.headers(0, r.Stretches()[0].Next)
		if err != nil {
			t.Fatal(err)
		}
		any := left.First()
		if err := left.Close(); err != nil {
			t.Fatal(err)
		}
		if !any {
			break
		}
		if time.Now().After(until) {
			t.Fatal("the blocks of the first stretch are still there")
		}
	}
	if rs := r.all(t); uint64(len(rs)) != r.Next()-1 || sound(rs) != nil {
		t.Errorf("%d records, %v", len(rs), sound(rs))
	}
}

// TestStretchWithoutChunks: of a stretch of which nothing reads, all that it held is named as lost, from
// wherever it is read.
func TestStretchWithoutChunks(t *testing.T) {
	o := sealing(small(newMem()))
	r := filled(t, o, 10_000)
	want := r.all(t)
	if err := r.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	st := r.Stretches()[1]
	x, err := r.index(&st)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range x.Chunks {
		if err := r.db.Delete(st.chunkKey(c.Tier, c.No), pebble.Sync); err != nil {
			t.Fatal(err)
		}
	}
	r.sealed.whole = wholeCache{}
	for _, from := range []uint64{1, st.Base, st.Base + 7, st.Next - 1} {
		f, lost, n := r.Follow(from), 0, 0
		for f.Offset() < r.Next() {
			b, err := f.Next(t.Context())
			if e := (*LostError)(nil); errors.As(err, &e) {
				if lost += e.Records; e.Records == 0 || e.From < st.Base || e.To >= st.Next {
					t.Errorf("from %d: %v", from, e)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			n += b.Len()
		}
		if before := int(max(st.Base, from) - from); lost != int(st.Records) || n != before+len(want)-int(st.Next-1) {
			t.Errorf("from %d: %d named as lost of %d, %d read of %d", from, lost, st.Records, n, before+len(want)-int(st.Next-1))
		}
	}
	r.mustClose(t)
}

// A chunk that is damaged is named, and what is beside and behind it still reads.
func TestDamagedChunkIsNamed(t *testing.T) {
	o := sealing(small(newMem()))
	r := filled(t, o, 10_000)
	want := r.all(t)
	if err := r.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	st := r.Stretches()[1]
	x, err := r.index(&st)
	if err != nil {
		t.Fatal(err)
	}
	c := x.Chunks[len(x.Chunks)/2]
	key := st.chunkKey(c.Tier, c.No)
	for _, how := range []func() error{
		func() error { return r.db.Set(key, []byte("rubbish"), pebble.Sync) },
		func() error { return r.db.Delete(key, pebble.Sync) },
	} {
		if err := how(); err != nil {
			t.Fatal(err)
		}
		r.sealed.whole = wholeCache{} // what was decoded before the damage
		f, lost, n := r.Follow(1), 0, 0
		for f.Offset() < r.Next() {
			b, err := f.Next(t.Context())
			if e := (*LostError)(nil); errors.As(err, &e) {
				if lost += e.Records; e.From != c.FirstOffset || e.To != c.LastOffset {
					t.Errorf("%v, want %d to %d", e, c.FirstOffset, c.LastOffset)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			for i := range b.Len() {
				if rec := b.Record(i); !equal(rec, want[rec.Offset-1]) {
					t.Fatalf("%v, want %v", rec, want[rec.Offset-1])
				}
				n++
			}
		}
		if lost != c.Count || n != len(want)-c.Count {
			t.Errorf("%d named as lost, %d read of %d; the chunk held %d", lost, n, len(want), c.Count)
		}
		_, _, err := r.Find(t.Context(), Query{Agents: []uint32{c.FirstAgent}, Limit: 1 << 20})
		if e := wantErr[*LostError](t, err); e.Records != c.Count {
			t.Error(e)
		}
		_, err = r.ReadOf(c.FirstOffset, want[c.FirstOffset-1].Agent)
		wantErr[*LostError](t, err)
		_, err = r.Read(c.FirstOffset)
		wantErr[*LostError](t, err)
	}
	r.mustClose(t)
}

// Where a stretch among others is lost, and known to be, look-ups in both
// directions find what lies on either side.
func TestLostStretchIsSteppedOver(t *testing.T) {
	r := filled(t, sealing(small(newMem())), 10_000)
	defer r.mustClose(t)
	if err := r.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone := r.Stretches()[1]
	r.sealed.change(func(list []Stretch) []Stretch { return slices.Delete(list, 1, 2) })
	r.addHole(Hole{From: gone.Base, To: gone.Next - 1, Epoch: 1, Reason: "a test"})
	for _, q := range []Query{{Limit: 100}, {Limit: 100, Reverse: true}, {Agents: []uint32{3}, Limit: 7, Reverse: true}, {FromOffset: gone.Base + 1, ToOffset: gone.Next - 1, Reverse: true}} {
		checkFind(t, r, q)
	}
	recs, _, err := r.Find(t.Context(), Query{Reverse: true, Limit: 1 << 20})
	if err != nil || recs[len(recs)-1].Offset != 1 || uint64(len(recs)) != r.Next()-1-(gone.Next-gone.Base) {
		t.Errorf("%d records down to %d, %v", len(recs), recs[len(recs)-1].Offset, err)
	}
}

// TestDamagedNeighbours: a reader in order gets past stretches next to each other of which some cannot be read, and
// is told of each part once; who asks for one offset is told of its own loss, or that there is nothing.
func TestDamagedNeighbours(t *testing.T) {
	o := sealing(small(newMem()))
	r := filled(t, o, 20_000)
	want := r.all(t)
	if err := r.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(r.Stretches()) < 5 {
		t.Fatalf("%d stretches", len(r.Stretches()))
	}
	lost := map[uint64]bool{} // least offsets of chunks
	records := 0
	damage := func(st *Stretch, which func(c *stretch.ChunkInfo) bool) {
		x, err := r.index(st)
		if err != nil {
			t.Fatal(err)
		}
		for i := range x.Chunks {
			if c := &x.Chunks[i]; which(c) && !lost[c.FirstOffset] {
				lost[c.FirstOffset] = true
				records += int(c.Count)
				if err := r.db.Delete(st.chunkKey(c.Tier, c.No), pebble.Sync); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	one, two, three := r.Stretches()[1], r.Stretches()[2], r.Stretches()[3]
	damage(&one, func(*stretch.ChunkInfo) bool { return true })
	damage(&two, func(*stretch.ChunkInfo) bool { return true })
	damage(&three, func(c *stretch.ChunkInfo) bool { return c.No == 0 })
	r.sealed.whole = wholeCache{}
	f, told, n := r.Follow(1), 0, 0
	for f.Offset() < r.Next() {
		f.Skip(f.Offset()) // as who keeps the place himself does
		b, err := f.Next(t.Context())
		if e := (*LostError)(nil); errors.As(err, &e) {
			if told += e.Records; told > records {
				t.Fatalf("told of %d records, %d are lost: %v", told, records, e)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		n += b.Len()
	}
	if told != records || n != len(want)-records {
		t.Errorf("told of %d of %d lost, read %d of %d", told, records, n, len(want)-records)
	}
	for _, off := range []uint64{one.Base, one.Next - 1, two.Base + 1} {
		_, err := r.Read(off)
		if e := (*LostError)(nil); !errors.As(err, &e) || off < e.From || off > e.To {
			t.Errorf("offset %d: %v", off, err)
		}
	}
	r.mustClose(t)
}
