package wal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"eyrie/wal/block"
)

// written makes a log of some tables on fs and returns what is in it. clean
// closes it; otherwise what is left is as after a power cut.
func written(t testing.TB, fs *vfs.MemFS, o Options, seed uint64, turns int, clean bool) (*vfs.MemFS, state) {
	t.Helper()
	c := newClock()
	if o.FS, o.Now = fs, c.now; o.Seal.Off {
		o.CheckpointBytes = 1 // what is sealed is not folded again
	}
	r := mustOpen(t, o)
	load := newCrowd(seed, c)
	for range turns {
		if err := errors.Join(load.turn(r.w, 60), r.commit()); err != nil {
			t.Fatal(err)
		}
	}
	if o.Seal.Off { // by hand
		if err := r.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(r.Stretches()) == 0 {
			t.Fatal("nothing was sealed")
		}
		if err := errors.Join(load.turn(r.w, 60), r.commit()); err != nil {
			t.Fatal(err)
		}
	}
	s := r.state(t)
	if clean {
		r.mustClose(t)
		return fs, s
	}
	left := fs.CrashClone(vfs.CrashCloneCfg{})
	r.mustClose(t)
	return left, s
}

// files returns all files below dir with their content.
func files(t testing.TB, fs vfs.FS, dir string) map[string]string {
	t.Helper()
	m := map[string]string{}
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		at := fs.PathJoin(dir, n)
		st, err := fs.Stat(at)
		if err != nil {
			t.Fatal(err)
		}
		if st.IsDir() {
			for k, v := range files(t, fs, at) {
				m[k] = v
			}
			continue
		}
		p, err := readFile(fs, at)
		if err != nil {
			t.Fatal(err)
		}
		m[at] = string(p)
	}
	return m
}

func TestVerifyChangesNothing(t *testing.T) {
	for i := range 4 {
		clean, o := i%2 == 0, small(newMem())
		if i > 1 {
			o = sealing(o)
		}
		left, want := written(t, newMem(), o, 1, 30, clean)
		o.FS = left
		before := files(t, left, "log")
		res := intact(t, o)
		if res.Records != uint64(len(want.recs)) || res.Next != uint64(len(want.recs))+1 || res.Agents != len(want.agents) || res.Numbers == 0 {
			t.Errorf("%+v", res)
		}
		after := files(t, left, "log")
		for name := range after {
			if after[name] != before[name] {
				t.Errorf("clean %v: %s has changed", clean, name)
			}
		}
		if len(after) != len(before) {
			t.Errorf("clean %v: %d files, %d before", clean, len(after), len(before))
		}
	}
}

// meddle opens the store below the log and lets fn write to it.
func meddle(t testing.TB, o Options, fn func(l *Log, b *pebble.Batch) error) {
	t.Helper()
	if err := o.defaults(); err != nil {
		t.Fatal(err)
	}
	l := newLog(o)
	if _, err := l.openStore(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.identify(); err != nil {
		t.Fatal(err)
	}
	b := l.db.NewBatch()
	if err := errors.Join(fn(l, b), l.db.Apply(b, pebble.Sync), b.Close(), l.abandon()); err != nil {
		t.Fatal(err)
	}
}

// bases returns the bases of all blocks.
func (l *Log) bases(t testing.TB) (bs []uint64) {
	it, err := l.headers(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		bs = append(bs, baseIn(it.Key()))
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return bs
}

// TestVerifyNamesWhatIsNotAsWritten changes one thing of a sound log at a time,
// checksums right.
func TestVerifyNamesWhatIsNotAsWritten(t *testing.T) {
	disk, want := written(t, newMem(), small(nil), 2, 30, true)
	f := func(part, msg string, fn func(l *Log, b *pebble.Batch) error) {
		t.Helper()
		o := small(disk.CrashClone(vfs.CrashCloneCfg{}))
		meddle(t, o, fn)
		res, err := Verify(context.Background(), VerifyOptions{Log: o})
		if err != nil {
			t.Error(part, err)
			return
		}
		found := false
		for i := range res.Damages {
			d := &res.Damages[i]
			found = found || d.Part == part && strings.Contains(d.Msg, msg)
		}
		if !found {
			t.Errorf("%s, %s: %v", part, msg, damages(res))
		}
		if res.Next != uint64(len(want.recs))+1 && part != "end" {
			t.Errorf("%s: it ended at %d", part, res.Next)
		}
	}
	header := func(l *Log, base uint64) (p []byte, h block.Header) {
		if err := l.header(base, func(v []byte) error { p = append(p, v...); return nil }); err != nil {
			t.Fatal(err)
		}
		if err := block.DecodeHeader(p, &h); err != nil {
			t.Fatal(err)
		}
		return p, h
	}
	f("header", "no block holds them", func(l *Log, b *pebble.Batch) error { return b.Delete(key8(prefixHeader, l.bases(t)[3]), nil) })
	f("body", "is missing", func(l *Log, b *pebble.Batch) error { return b.Delete(key8(prefixBody, l.bases(t)[3]), nil) })
	f("body", "CRC32C", func(l *Log, b *pebble.Batch) error {
		base := l.bases(t)[4]
		return l.get(key8(prefixBody, base), func(v []byte) error {
			v = append([]byte(nil), v...)
			v[len(v)/2] ^= 4
			return b.Set(key8(prefixBody, base), v, nil)
		})
	})
	f("header", "CRC32C", func(l *Log, b *pebble.Batch) error {
		p, h := header(l, l.bases(t)[4])
		p[60] ^= 1
		return b.Set(key8(prefixHeader, h.Base), p, nil)
	})
	f("chain", "does not follow", func(l *Log, b *pebble.Batch) error {
		p, h := header(l, l.bases(t)[5])
		block.Restamp(p, &h, 12345)
		return b.Set(key8(prefixHeader, h.Base), p, nil)
	})
	f("end", "the mark vouches", func(l *Log, b *pebble.Batch) error {
		bs := l.bases(t)
		return b.Delete(key8(prefixHeader, bs[len(bs)-1]), nil)
	})
	f("agents", "agent 3 is stored as", func(l *Log, b *pebble.Batch) error {
		return b.Set(key4(prefixAgent, 3), appendString(appendString(nil, "main"), "other"), nil)
	})
	f("agents", "agent 2 is missing", func(l *Log, b *pebble.Batch) error { return b.Delete(key4(prefixAgent, 2), nil) })
	f("producers", "is not stored", func(l *Log, b *pebble.Batch) error {
		for n := uint32(1); ; n++ {
			if l.get(key4(prefixProducer, n), func([]byte) error { return nil }) == nil {
				return b.Delete(key4(prefixProducer, n), nil)
			}
		}
	})
	f("producers", "the records say", func(l *Log, b *pebble.Batch) error {
		for n := uint32(1); ; n++ {
			err := l.get(key4(prefixProducer, n), func(v []byte) error {
				v = append([]byte(nil), v...)
				v[24]++ // its next number
				return b.Set(key4(prefixProducer, n), v, nil)
			})
			if err == nil {
				return nil
			}
		}
	})
	f("cursor", "mirror stands at", func(l *Log, b *pebble.Batch) error {
		return b.Set(append([]byte{prefixCursor}, "mirror"...), binary.LittleEndian.AppendUint64(nil, 1<<40), nil)
	})
	f("mark", "is of epoch 1, the log's is 9", func(l *Log, b *pebble.Batch) error {
		return setEpoch(b, EpochStart{Epoch: 9, First: uint64(len(want.recs)) + 1})
	})
	f("epochs", "the table is empty", func(l *Log, b *pebble.Batch) error { return b.Delete(key4(prefixEpoch, 1), nil) })
	f("meta", "forgotten which log", func(l *Log, b *pebble.Batch) error { return b.Delete([]byte(metaLog), nil) })
	// A block whose records are not what their producer sent.
	f("numbers", "expected", func(l *Log, b *pebble.Batch) error {
		bs := l.bases(t)
		for i, base := range bs {
			blk, err := l.load(base)
			if err != nil {
				return err
			}
			_, h := header(l, base)
			n := block.NewBuilder(base, blk.Len(), 0)
			met, changed := map[uint32]int{}, false
			for j := range blk.Len() {
				r := blk.Record(j)
				if r.Kind == KindEvent && !changed && i > 2 {
					r.Seq, changed = r.Seq+7, true
				}
				rng := -1
				if r.Producer != 0 && r.Seq != 0 && r.Kind == KindEvent {
					if k, ok := met[r.Producer]; ok {
						rng = k
						n.Settle(k, r.Seq)
					} else {
						rng = n.OpenRange(block.Range{Producer: r.Producer, Epoch: 1, From: r.Seq, To: r.Seq})
						met[r.Producer] = rng
					}
				}
				n.Append(&r, rng)
			}
			if !changed {
				continue
			}
			var enc block.Encoder
			nb := n.Block()
			body := enc.Body(nil, nb)
			head, _ := block.EncodeHeader(nil, nb, body, block.Stamp{LogID: h.LogID, Epoch: h.Epoch, Chain: h.Chain})
			return errors.Join(b.Set(key8(prefixHeader, base), head, nil), b.Set(key8(prefixBody, base), body, nil))
		}
		return errors.New("no event")
	})
}

// storeTables returns what lies in each table of the store, by path: the prefixes and
// the bases of its smallest and largest key.
func storeTables(t testing.TB, o Options) map[string][2][]byte {
	t.Helper()
	m := map[string][2][]byte{}
	if err := o.defaults(); err != nil {
		t.Fatal(err)
	}
	l := newLog(o)
	if _, err := l.openStore(); err != nil {
		t.Fatal(err)
	}
	levels, err := l.db.SSTables()
	if err != nil {
		t.Fatal(err)
	}
	for _, ts := range levels {
		for _, s := range ts {
			m[fmt.Sprintf("log/store/%06d.sst", s.FileNum)] = [2][]byte{append([]byte(nil), s.Smallest.UserKey...), append([]byte(nil), s.Largest.UserKey...)}
		}
	}
	if err := l.abandon(); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestVerifyGoesOnBehindADamage flips bits of each table: file and offsets must
// be named, and what is behind must have been looked at.
func TestVerifyGoesOnBehindADamage(t *testing.T) {
	o := small(nil)
	o.MemtableBytes = 8 << 20
	disk, want := written(t, newMem(), o, 3, 60, true)
	o.FS = disk
	meddle(t, o, func(l *Log, b *pebble.Batch) error { return l.db.Flush() })
	rng := rand.New(rand.NewPCG(8, 0))
	part := map[byte]string{prefixBody: "body", prefixHeader: "header"}
	looked := map[byte]int{}
	for name, keys := range storeTables(t, o) {
		kind := part[keys[0][0]]
		if kind == "" {
			continue
		}
		looked[keys[0][0]]++
		for range 2 {
			fs := disk.CrashClone(vfs.CrashCloneCfg{})
			st, err := fs.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			// Early in its first block: the store looks for the bit from there on.
			if err := flip(fs, name, rng.Int64N(min(8<<8, 4*st.Size()))); err != nil {
				t.Fatal(err)
			}
			o := o
			o.FS = fs
			res, err := Verify(context.Background(), VerifyOptions{Log: o})
			if err != nil || len(res.Damages) == 0 {
				t.Fatalf("%s: nothing was found, %v", name, err)
			}
			d := res.Damages[0]
			from, to := baseIn(keys[0]), baseIn(keys[1])
			if d.Part != kind || d.From == 0 || d.From < from || d.From > to || !strings.HasSuffix(name, d.File) || d.File == "" {
				t.Errorf("%s holds %d to %d: %v", name, from, to, damages(res))
			}
			var lost uint64
			for _, d := range res.Damages {
				if d.Part == kind {
					lost += d.To - d.From + 1
				}
			}
			if res.Records+lost != uint64(len(want.recs)) || res.Next != uint64(len(want.recs))+1 {
				t.Errorf("%s: %d records were looked at and %d named, there are %d; it ended at %d: %v", name, res.Records, lost, len(want.recs), res.Next, damages(res))
			}
		}
	}
	if looked[prefixBody] == 0 || looked[prefixHeader] == 0 {
		t.Errorf("tables looked at: %v", looked)
	}
}

// TestVerifyNamesWhatIsSealed damages each part of a sealed stretch.
func TestVerifyNamesWhatIsSealed(t *testing.T) {
	o := sealing(small(nil))
	disk, want := written(t, newMem(), o, 6, 40, true)
	f := func(part string, pick func(k []byte) bool, change func(v []byte) []byte) {
		t.Helper()
		o := o
		o.FS = disk.CrashClone(vfs.CrashCloneCfg{})
		meddle(t, o, func(l *Log, b *pebble.Batch) error {
			it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixStretch}, UpperBound: []byte{prefixChunk + 1}})
			if err != nil {
				return err
			}
			for ok := it.First(); ok; ok = it.Next() {
				if k := it.Key(); pick(k) && chunkOrStretch(k) > 1 { // not of the first stretch
					if v := change(append([]byte(nil), it.Value()...)); v != nil {
						err = b.Set(k, v, nil)
					} else {
						err = b.Delete(k, nil)
					}
					return errors.Join(err, it.Close())
				}
			}
			t.Fatalf("%s: there is no such key", part)
			return nil
		})
		res, err := Verify(context.Background(), VerifyOptions{Log: o})
		if err != nil || len(res.Damages) == 0 || res.Damages[0].Part != part || res.Damages[0].From <= 1 || res.Damages[0].To >= uint64(len(want.recs)) {
			t.Errorf("%s: %v %v", part, err, damages(res))
			return
		}
		if len(res.Damages) > 2 || res.Next != uint64(len(want.recs))+1 || res.Records < uint64(len(want.recs))/2 {
			t.Errorf("%s: %d records looked at of %d: %v", part, res.Records, len(want.recs), damages(res))
		}
	}
	flipped := func(v []byte) []byte { v[len(v)/2] ^= 8; return v }
	gone := func([]byte) []byte { return nil }
	for _, change := range []func([]byte) []byte{flipped, gone} {
		f("chunk", func(k []byte) bool { return k[0] == prefixChunk }, change)
		f("index", func(k []byte) bool { return k[0] == prefixStretch && k[9] == partIndex }, change)
		f("page", func(k []byte) bool { return k[0] == prefixStretch && k[9] == partPage }, change)
		f("stretch", func(k []byte) bool { return k[0] == prefixStretch && k[9] == partSummary }, change)
	}
}

func chunkOrStretch(k []byte) uint64 {
	if k[0] == prefixChunk {
		return chunkBase(k)
	}
	return baseIn(k[:9])
}

// TestVerifyFindsADamagedMark and a log without one.
func TestVerifyFindsADamagedMark(t *testing.T) {
	disk, _ := written(t, newMem(), small(nil), 4, 5, true)
	o := small(disk)
	for slot := range int64(markSlots) {
		if err := flip(disk, "log/mark", 8*markStride*slot+8*30); err != nil {
			t.Fatal(err)
		}
	}
	res, err := Verify(context.Background(), VerifyOptions{Log: o})
	if err != nil || len(res.Damages) == 0 || res.Damages[0].Part != "mark" {
		t.Error(err, damages(res))
	}
	if err := disk.Remove("log/mark"); err != nil {
		t.Fatal(err)
	}
	res, err = Verify(context.Background(), VerifyOptions{Log: o})
	if err != nil || len(res.Damages) == 0 || res.Damages[0].Part != "mark" || res.Records == 0 {
		t.Error(err, damages(res))
	}
	if _, err := Verify(context.Background(), VerifyOptions{Log: small(newMem())}); err == nil {
		t.Error("a folder without a log was verified")
	}
}
