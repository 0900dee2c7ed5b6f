package fleet

import (
	"errors"
	"fmt"
	"testing"

	"eyrie/engine/wire"
	"eyrie/wal/block"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// foldTo folds records up to an offset into v, which stands at from.
func foldTo(v *View, blocks []*block.Block, from, to uint64) {
	for _, b := range blocks {
		if b.Next() <= from+1 || b.Base() > to {
			continue
		}
		nb := block.NewBuilder(max(b.Base(), from+1), 16, 0)
		for i := range b.Len() {
			if off := b.Base() + uint64(i); off > from && off <= to {
				rec := b.Record(i)
				nb.Append(&rec, -1)
			}
		}
		blk := nb.Block()
		v.Apply(blk, 0, parse(blk))
	}
}

// The state behind any offset, folded on from the snapshot before it, is the
// one that a fold of everything has there, whatever was thinned, lost in a
// crash or rebuilt meanwhile.
func TestMomentsProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &dict{}
		for i := range 5 {
			d.add("main", fmt.Sprint("a", i))
		}
		o := SnapshotOptions{
			Min: uint64(rapid.IntRange(1, 60).Draw(t, "min")), Reach: uint64(rapid.IntRange(20, 400).Draw(t, "reach")),
			KeepAll: rapid.SampledFrom([]int64{1, 60e9, 3600e9}).Draw(t, "keep all"),
		}
		now := t0
		var blocks []*block.Block
		next := uint64(1)
		db := openStore(t)
		defer db.Close()
		fresh := func() *View {
			v := New(d)
			v.Snapshots(o)
			v.snaps.chunk = 2
			return v
		}
		live := fresh()
		for range rapid.IntRange(1, 20).Draw(t, "blocks") {
			b := block.NewBuilder(next, 16, 1<<12)
			for range rapid.IntRange(1, 12).Draw(t, "records") {
				r := drawRecord(t, d, &now)
				b.Append(&r, -1)
			}
			blk := b.Block()
			blocks = append(blocks, blk)
			next = blk.Next()
			live.Apply(blk, 0, parse(blk))
			switch rapid.IntRange(0, 9).Draw(t, "then") {
			case 0, 1, 2, 3, 4: // a save
				w := db.NewBatch()
				if err := live.Save(w); err != nil {
					t.Fatal(err)
				}
				if err := w.Commit(pebble.NoSync); err != nil {
					t.Fatal(err)
				}
				live.Saved()
			case 5: // a crash: what was not saved is folded again
				live = fresh()
				if err := live.Load(db); err != nil {
					t.Fatal(err)
				}
				at, _ := live.Offset()
				foldTo(live, blocks, at, next-1)
			case 6: // a rebuild
				if rapid.IntRange(0, 4).Draw(t, "rebuild") == 0 {
					live.Reset()
					foldTo(live, blocks, 0, next-1)
				}
			}
		}
		for range 3 {
			at := uint64(rapid.IntRange(1, int(next-1)).Draw(t, "at"))
			whole, past := New(d), New(d)
			foldTo(whole, blocks, 0, at)
			m := live.MomentBefore(at)
			if m.Offset > at {
				t.Fatalf("the snapshot before %d stands at %d", at, m.Offset)
			}
			if err := past.LoadMoment(db, m); err != nil {
				t.Fatal(err)
			}
			foldTo(past, blocks, m.Offset, at)
			if diff := cmp.Diff(all(whole), all(past)); diff != "" {
				t.Fatalf("behind %d, from %d (-whole +past):\n%s", at, m.Offset, diff)
			}
		}
		heads, others := keysOf(t, db)
		if live.snaps.whole { // rebuilt since: nothing of it is stored yet
			return
		}
		for _, s := range live.snaps.list {
			if !heads[s.offset] {
				t.Fatalf("the snapshot at %d has no head", s.offset)
			}
			for _, k := range live.MomentBefore(s.offset).keys {
				if !others[string(k)] {
					t.Fatalf("the snapshot at %d needs %x", s.offset, k)
				}
			}
		}
	})
}

func keysOf(t *rapid.T, db *pebble.DB) (heads map[uint64]bool, others map[string]bool) {
	heads, others = map[uint64]bool{}, map[string]bool{}
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{pastPrefix}, UpperBound: []byte{pastPrefix + 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		k := it.Key()
		if k[1] == pastHead {
			off := uint64(0)
			for _, c := range k[2:] {
				off = off<<8 | uint64(c)
			}
			heads[off] = true
			continue
		}
		others[string(k)] = true
	}
	return heads, others
}

// Thinning keeps to the reach, deletes every row that nothing needs, and keeps
// what is young.
func TestSnapshotsThin(t *testing.T) {
	d := &dict{}
	for i := range 3000 {
		d.add("main", fmt.Sprint("a", i))
	}
	db := openStore(t)
	defer db.Close()
	v := New(d)
	v.Snapshots(SnapshotOptions{Min: 100, Reach: 1000, KeepAll: 3600e9})
	v.snaps.perAgent = 0
	now, next := t0, uint64(1)
	fold := func(n int, agents []uint32) {
		b := block.NewBuilder(next, 16, 1<<12)
		for i := range n {
			now += 1e9
			put(b, agents[i%len(agents)], now, &wire.Event{Type: wire.TypeMessage, TS: now, Kind: "text", Msg: "x"})
		}
		blk := b.Block()
		next = blk.Next()
		v.Apply(blk, 0, parse(blk))
		w := db.NewBatch()
		if err := v.Save(w); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(pebble.NoSync); err != nil {
			t.Fatal(err)
		}
		v.Saved()
	}
	everyone := make([]uint32, 3000)
	for i := range everyone {
		everyone[i] = uint32(i + 1)
	}
	for len(everyone) > 0 {
		n := min(600, len(everyone))
		fold(n, everyone[:n])
		everyone = everyone[n:]
	}
	for range 200 { // one agent goes on for more than five hours
		fold(100, []uint32{2500})
	}
	var before *snapshot
	list := v.snaps.list
	young := 0
	for i := range list {
		s := &list[i]
		if before != nil && s.work-before.work > 1000+600+workBlock {
			t.Errorf("%d lies %d of work behind %d", s.offset, s.work-before.work, before.offset)
		}
		if v.clock-s.clock <= 3600e9 {
			young++
		}
		before = s
	}
	if young < 30 {
		t.Errorf("%d snapshots of the last hour, want one for each of 36 folds or so", young)
	}
	if most := young + 2*int(v.snaps.work)/1000 + 2; len(list) > most {
		t.Errorf("%d snapshots, want at most %d", len(list), most)
	}
	// Chunks that did not change lie there once; all rows there are belong to a head.
	rows := map[string]bool{}
	for _, s := range list {
		for _, r := range s.rows {
			rows[string(chunkKey(r.chunk, r.offset))] = true
		}
		rows[string(offsetKey(pastRest, s.offset))] = true
		rows[string(offsetKey(pastHead, s.offset))] = true
	}
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{pastPrefix}, UpperBound: []byte{pastPrefix + 1}})
	if err != nil {
		t.Fatal(err)
	}
	chunks := map[byte]int{}
	for ok := it.First(); ok; ok = it.Next() {
		if !rows[string(it.Key())] {
			t.Errorf("%x belongs to no snapshot", it.Key())
		}
		if it.Key()[1] == pastChunk {
			chunks[it.Key()[13]]++
		}
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	if chunks[0] > 3 || chunks[1] > 4 || chunks[2] < len(list)/2 {
		t.Errorf("rows by chunk: %v; the first two stopped changing", chunks)
	}
}

// Damage of any byte, and rows that are missing, are refused.
func TestMomentRefusesDamage(t *testing.T) {
	w := newWorld(t, "a", "b")
	w.v.Snapshots(SnapshotOptions{Min: 1, Reach: 1})
	w.say("a", start(wire.TypeRun, "r", "x"))
	w.say("b", start(wire.TypeTool, "s", "Bash"))
	db := openStore(t)
	defer db.Close()
	b := db.NewBatch()
	if err := w.v.Save(b); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	w.v.Saved()
	off, _ := w.v.Offset()
	m := w.v.MomentBefore(off)
	if m.Offset != off || len(m.keys) != 2 {
		t.Fatalf("snapshot %+v, the view stands at %d", m, off)
	}
	for _, k := range m.keys {
		val, closer, err := db.Get(k)
		if err != nil {
			t.Fatal(err)
		}
		good := append([]byte(nil), val...)
		closer.Close()
		for i := range good {
			bad := append([]byte(nil), good...)
			bad[i] ^= 0x10
			for _, x := range [][]byte{bad, good[:i]} {
				if err := db.Set(k, x, pebble.NoSync); err != nil {
					t.Fatal(err)
				}
				v := New(w.d)
				if err := v.LoadMoment(db, m); err == nil || v.Len() != 0 {
					t.Fatalf("%x with byte %d of %d wrong loads", k, i, len(good))
				}
			}
		}
		if err := db.Delete(k, pebble.NoSync); err != nil {
			t.Fatal(err)
		}
		if err := New(w.d).LoadMoment(db, m); !errors.Is(err, pebble.ErrNotFound) {
			t.Fatalf("without %x: %v", k, err)
		}
		if err := db.Set(k, good, pebble.NoSync); err != nil {
			t.Fatal(err)
		}
	}
}
