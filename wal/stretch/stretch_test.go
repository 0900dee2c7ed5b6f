package stretch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"eyrie/wal/block"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sealed is a stretch with its values.
type sealed struct {
	index  []byte
	x      *Index
	chunks [][]byte
	pages  [][]byte
}

var someStamp = Stamp{LogID: [16]byte{0xe1, 0x21}, Epoch: 2, Chain: 0x1122334455667788, Digest: 0x99aabbccddeeff00}

func sealBlocks(tb testing.TB, w *Writer, blocks []*block.Block) *sealed {
	tb.Helper()
	w.Reset()
	for _, b := range blocks {
		w.Add(b)
	}
	s := &sealed{}
	x, err := w.Finish(someStamp, func(c *ChunkInfo, v []byte) error {
		if int(c.Len) != len(v) {
			tb.Errorf("chunk of %d bytes, %d said", len(v), c.Len)
		}
		s.chunks = append(s.chunks, bytes.Clone(v))
		return nil
	}, func(page int, v []byte) error {
		if page != len(s.pages) {
			tb.Errorf("page %d after %d", page, len(s.pages))
		}
		s.pages = append(s.pages, bytes.Clone(v))
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	s.index = x.Append([]byte("before"))[len("before"):]
	if s.x, err = DecodeIndex(s.index); err != nil {
		tb.Fatal(err)
	}
	if fmt.Sprint(*s.x) != fmt.Sprint(*x) {
		tb.Fatalf("index is\n%v\nread as\n%v", *x, *s.x)
	}
	return s
}

// compare tells whether the sealed stretch holds exactly the blocks' records.
func (s *sealed) compare(tb testing.TB, blocks []*block.Block, tier func(*block.Record) uint8) {
	tb.Helper()
	x := s.x
	first, last := blocks[0], blocks[len(blocks)-1]
	if x.Base != first.Base() || x.Next != last.Next() || x.Stamp != someStamp {
		tb.Fatalf("offsets %d to %d, want %d to %d; %+v", x.Base, x.Next, first.Base(), last.Next(), x.Stamp)
	}
	type where struct{ tier, agent uint32 }
	want := map[where][]block.Record{}
	keys := map[uint32]map[uint32]bool{}
	var sum uint64
	count, size := 0, 0
	recvMin, recvMax := first.RecvMin(), first.RecvMin()
	var holes []Hole
	for i, b := range blocks {
		if i > 0 && blocks[i-1].Next() != b.Base() {
			holes = append(holes, Hole{blocks[i-1].Next(), b.Base() - 1})
		}
		sum += Digest(b)
		count += b.Len()
		size += b.PayloadBytes()
		for j := range b.Len() {
			r := b.Record(j)
			w := where{uint32(tier(&r)), r.Agent}
			want[w] = append(want[w], r)
			recvMin, recvMax = min(recvMin, r.Recv), max(recvMax, r.Recv)
		}
	}
	if x.Count != count || x.Bytes != uint64(size) || x.Sum() != sum || x.RecvMin != recvMin || x.RecvMax != recvMax || !slices.Equal(x.Holes, holes) {
		tb.Fatalf("index %+v, want %d records of %d bytes, sum %x, recv %d to %d, holes %v", x, count, size, sum, recvMin, recvMax, holes)
	}
	got := map[where][]block.Record{}
	for i := range x.Chunks {
		c := &x.Chunks[i]
		p, err := DecodeChunk(c, s.chunks[i])
		if err != nil {
			tb.Fatal(err)
		}
		if p.Digest() != c.Digest || p.Len() != c.Count {
			tb.Fatalf("chunk %d: %d records with digest %x, index %+v", i, p.Len(), p.Digest(), c)
		}
		for j := range p.Len() {
			r := p.Record(j)
			w := where{uint32(c.Tier), r.Agent}
			got[w] = append(got[w], r)
			if from, to := p.Agent(r.Agent); j < from || j >= to {
				tb.Fatalf("agent %d is at %d to %d, record at %d", r.Agent, from, to, j)
			}
			if !slices.Contains(x.OfAgent(c.Tier, r.Agent), *c) {
				tb.Fatalf("agent %d is not said to be in chunk %d", r.Agent, i)
			}
			if r.Key != 0 {
				if keys[r.Key] == nil {
					keys[r.Key] = map[uint32]bool{}
				}
				keys[r.Key][uint32(i)] = true
			}
		}
	}
	if len(got) != len(want) {
		tb.Fatalf("%d agents and tiers, want %d", len(got), len(want))
	}
	for w, a := range want {
		b := got[w]
		if len(a) != len(b) {
			tb.Fatalf("%+v: %d records, want %d", w, len(b), len(a))
		}
		for i := range a {
			if err := sameRecord(a[i], b[i]); err != nil {
				tb.Fatalf("%+v, record %d: %v", w, i, err)
			}
		}
	}
	for k, in := range keys {
		page, ok := x.KeyPage(k)
		if !ok {
			tb.Fatalf("no page for key %d", k)
		}
		chunks, err := LookKey(s.pages[page], k)
		if err != nil {
			tb.Fatal(err)
		}
		if len(chunks) != len(in) || !slices.IsSorted(chunks) {
			tb.Fatalf("key %d is in chunks %v, want %v", k, chunks, in)
		}
		for _, c := range chunks {
			if !in[c] {
				tb.Fatalf("key %d is in chunks %v, want %v", k, chunks, in)
			}
		}
	}
	for _, k := range []uint32{0, 1, 1<<32 - 1, 77} {
		if page, ok := x.KeyPage(k); ok && keys[k] == nil {
			if chunks, err := LookKey(s.pages[page], k); err != nil || len(chunks) != 0 {
				tb.Fatalf("key %d, which none has: %v %v", k, chunks, err)
			}
		}
	}
}

func sameRecord(a, b block.Record) error {
	if !bytes.Equal(a.Payload, b.Payload) {
		return fmt.Errorf("payload of offset %d: %.80q, want %.80q", a.Offset, b.Payload, a.Payload)
	}
	a.Payload, b.Payload = nil, nil
	if fmt.Sprint(a) != fmt.Sprint(b) {
		return fmt.Errorf("%v, want %v", b, a)
	}
	return nil
}

// message appends a MessagePack map as agents send them, or nearly one: with
// other names, types, lengths and nesting, sometimes cut off or damaged.
func message(rng *rand.Rand, dst []byte, names, nest int) []byte {
	n := rng.IntN(16)
	dst = append(dst, 0x80|byte(n))
	for range n {
		name := fmt.Sprintf("name-%0*d", 1+rng.IntN(12), rng.IntN(names))
		dst = append(append(dst, 0xa0|byte(len(name))), name...)
		switch k := rng.IntN(12); {
		case k == 0 && nest > 0:
			dst = message(rng, dst, names, nest-1)
		case k == 1:
			dst = append(dst, 0x93, 1, 0xa1, 'x', 0xc0)
		case k == 2:
			dst = append(dst, 0xcb, 1, 2, 3, 4, 5, 6, 7, byte(rng.Uint32()))
		case k == 3:
			dst = append(dst, 0xc4, 2, byte(rng.Uint32()), 9)
		case k == 4:
			dst = append(dst, 0xd9, 3, 'o', 'n', 'e')
		case k == 5:
			dst = append(dst, 0xde, 0, 1, 0xa1, 'k', 0xc7, 1, 5, byte(rng.Uint32()))
		case k < 8:
			dst = append(dst, 0xa2, 'o', 'k')
		default:
			dst = append(dst, byte(rng.IntN(128)))
		}
	}
	return dst
}

// TestMessages seals payloads that are divided: alike, and so different that
// words, fields and templates run out.
func TestMessages(t *testing.T) {
	templates, fields := 0, 0
	for nest, names := range []int{3, 10, 100, 100_000} {
		rng := rand.New(rand.NewPCG(uint64(names), 1))
		var blocks []*block.Block
		base := uint64(1)
		for range 12 {
			b := block.NewBuilder(base, 0, 0)
			kinds := make([][]byte, 1+rng.IntN(400)) // what may come several times
			for i := range kinds {
				kinds[i] = message(rng, nil, names, 2*nest)
			}
			for range block.RecordsMax {
				p := kinds[rng.IntN(len(kinds))]
				switch rng.IntN(8) {
				case 0:
					p = message(rng, nil, names, 2*nest)
				case 1:
					p = bytes.Clone(p)
					p[rng.IntN(len(p))] = byte(rng.Uint32())
				case 2:
					p = p[:rng.IntN(len(p))]
				}
				if !b.Fits(len(p)) {
					break
				}
				b.Append(&block.Record{Recv: 1, Kind: block.KindEvent, Class: uint8(rng.IntN(3)), Agent: rng.Uint32N(30), Payload: p}, -1)
			}
			base += uint64(b.Len())
			blocks = append(blocks, b.Block())
		}
		w := NewWriter(oneTier)
		sealBlocks(t, w, blocks).compare(t, blocks, oneTier)
		e := &w.enc.split
		t.Logf("%d names: last chunk of %d templates, %d fields, %d words", names, len(e.ends), e.fieldN, len(e.wordEnd))
		templates, fields = max(templates, len(e.ends)), max(fields, e.fieldN)
	}
	if templates != templatesMax || fields != fieldsMax {
		t.Errorf("%d templates, %d fields: they did not run out", templates, fields)
	}
}

// TestSpan holds the lengths of all forms of MessagePack.
func TestSpan(t *testing.T) {
	f := func(want int, p string) {
		t.Helper()
		if got := span([]byte(p), nestingMax); got != want {
			t.Errorf("% x: %d, want %d", p, got, want)
		}
		for n := range min(len(p), max(want, 0)) {
			if got := span([]byte(p[:n]), nestingMax); got != 0 {
				t.Errorf("% x: %d, want 0", p[:n], got)
			}
		}
	}
	z := string(make([]byte, 70_000))
	f(1, "\x00")
	f(1, "\x7f")
	f(1, "\xff")
	f(3, "\x81\x01\x02")
	f(3, "\x92\x01\x02")
	f(3, "\xa2ab")
	f(1, "\xc0")
	f(0, "\xc1")
	f(1, "\xc2")
	f(1, "\xc3")
	f(4, "\xc4\x02ab")
	f(5, "\xc5\x00\x02ab")
	f(7, "\xc6\x00\x00\x00\x02ab")
	f(5, "\xc7\x02\x09ab")
	f(6, "\xc8\x00\x02\x09ab")
	f(8, "\xc9\x00\x00\x00\x02\x09ab")
	f(5, "\xca1234")
	f(9, "\xcb12345678")
	f(2, "\xcc1")
	f(3, "\xcd12")
	f(5, "\xce1234")
	f(9, "\xcf12345678")
	f(2, "\xd01")
	f(3, "\xd112")
	f(5, "\xd21234")
	f(9, "\xd312345678")
	f(3, "\xd4t1")
	f(4, "\xd5t12")
	f(6, "\xd6t1234")
	f(10, "\xd7t12345678")
	f(18, "\xd8t1234567812345678")
	f(4, "\xd9\x02ab")
	f(5, "\xda\x00\x02ab")
	f(7, "\xdb\x00\x00\x00\x02ab")
	f(5, "\xdc\x00\x02ab")
	f(7, "\xdd\x00\x00\x00\x02ab")
	f(5, "\xde\x00\x01ab")
	f(7, "\xdf\x00\x00\x00\x01ab")
	f(70_000, "\xdb\x00\x01\x11\x6b"+z[5:])
	f(0, "\xdf\xff\xff\xff\xff"+z)
	f(0, "\xdd\xff\xff\xff\xff"+z)
	f(5, "\x91\x91\x91\x91\x01")
	f(0, "\x91\x91\x91\x91\x91\x01")
}

// drawn makes blocks of arbitrary records, holes between them.
func drawn(t *rapid.T) (blocks []*block.Block) {
	seed := rapid.Uint64().Draw(t, "seed")
	rng := rand.New(rand.NewPCG(seed, 1))
	agents := rapid.SampledFrom([]uint32{1, 2, 300, 65000, 1<<32 - 1}).Draw(t, "agents")
	keys := rapid.SampledFrom([]uint32{0, 1, 40, 1<<32 - 1}).Draw(t, "keys")
	producers := rapid.SampledFrom([]uint32{1, 7, 1<<32 - 1}).Draw(t, "producers")
	size := rapid.SampledFrom([]int{0, 9, 300, 30_000}).Draw(t, "payload")
	wild := rapid.Bool().Draw(t, "wild")
	base := rapid.Uint64Range(1, 1<<52).Draw(t, "base")
	recv := rapid.Int64().Draw(t, "recv") / 2
	next := map[uint32]uint64{}
	number := func(n uint32) uint32 { return uint32(rng.Uint64N(uint64(n) + 1)) }
	for range rapid.IntRange(1, 6).Draw(t, "blocks") {
		b := block.NewBuilder(base, 4, 16)
		p := number(producers)
		for range rapid.IntRange(1, block.RecordsMax).Draw(t, "records") {
			n := rng.IntN(size + 1)
			if !b.Fits(n) {
				break
			}
			if rng.IntN(20) == 0 {
				p = number(producers)
				recv += rng.Int64N(3) * 1e6
			}
			next[p]++
			r := block.Record{Recv: recv, Kind: block.KindEvent, Class: uint8(rng.IntN(14)), Flags: uint8(rng.IntN(3)), Producer: p,
				Seq: next[p], Agent: number(agents), Key: number(keys), Payload: make([]byte, n)}
			for i := range r.Payload {
				r.Payload[i] = "abcdefgh"[rng.IntN(8)]
			}
			if wild {
				r.Kind, r.Class, r.Flags = block.Kind(1+rng.IntN(int(block.KindMax))), uint8(rng.Uint32()), uint8(rng.Uint32())
				r.Seq, r.Recv = rng.Uint64()>>rng.IntN(64), int64(rng.Uint64())>>rng.IntN(64)
				for i := range r.Payload {
					r.Payload[i] = byte(rng.Uint32())
				}
			}
			b.Append(&r, -1)
		}
		if b.Len() == 0 {
			b.Append(&block.Record{Kind: block.KindTick, Recv: recv}, -1)
		}
		blk := b.Block()
		blocks = append(blocks, blk)
		base = blk.Next()
		if rapid.IntRange(0, 3).Draw(t, "hole") == 0 {
			base += rapid.Uint64Range(1, 1<<40).Draw(t, "lost")
		}
	}
	return blocks
}

func TestRoundTrip(t *testing.T) {
	byFlags := func(r *block.Record) uint8 { return []uint8{0, 9, 255}[r.Flags%3] }
	w := NewWriter(byFlags)
	rapid.Check(t, func(rt *rapid.T) {
		blocks := drawn(rt)
		sealBlocks(t, w, blocks).compare(t, blocks, byFlags)
	})
}

func TestMixRoundTrip(t *testing.T) {
	size := 8 << 20
	if testing.Short() {
		size >>= 2 // the detector of races makes it slow, and one goroutine does it all
	}
	for _, frame := range []int{1, 100} {
		blocks := mix(t, frame, size)
		sealBlocks(t, NewWriter(byClass), blocks).compare(t, blocks, byClass)
	}
}

// TestLargeRecords seals records up to the largest between small ones.
func TestLargeRecords(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var blocks []*block.Block
	base := uint64(1)
	for i, n := range []int{10, chunkBytes - 5, 10, chunkBytes, 10, chunkBytes + 1, PayloadBytesMax + 1, 10, block.RecordBytesMax, 10} {
		b := block.NewBuilder(base, 1, 0)
		p := make([]byte, n)
		if i != 6 { // one that compresses to nothing
			for j := range p {
				p[j] = byte(rng.Uint32() >> 9)
			}
		}
		b.Append(&block.Record{Kind: block.KindEvent, Recv: 1, Agent: 3, Payload: p}, -1)
		blocks = append(blocks, b.Block())
		base++
	}
	s := sealBlocks(t, NewWriter(oneTier), blocks)
	s.compare(t, blocks, oneTier)
	for i := range s.x.Chunks {
		p, err := DecodeChunk(&s.x.Chunks[i], s.chunks[i])
		if err != nil {
			t.Fatal(err)
		}
		if p.Len() > 1 && len(p.payload) > chunkBytes {
			t.Errorf("%d records with %d bytes of payload in one chunk", p.Len(), len(p.payload))
		}
	}
}

// TestAgentIsNotDivided: an agent with less than half a chunk is in one, so
// that its newest records cost one chunk of a tier.
func TestAgentIsNotDivided(t *testing.T) {
	blocks := mix(t, 100, 8<<20)
	s := sealBlocks(t, NewWriter(byClass), blocks)
	found := 0
	for tier := range uint8(3) {
		for agent := range uint32(65_001) {
			if n := len(s.x.OfAgent(tier, agent)); n > 1 && agent != 0 {
				t.Fatalf("agent %d may be in %d chunks of tier %d", agent, n, tier)
			} else if n == 1 {
				found++
			}
		}
	}
	if found < 10_000 {
		t.Fatalf("%d agents found", found)
	}
}

func TestWriterRefuses(t *testing.T) {
	no := func(int, []byte) error { return nil }
	yes := func(*ChunkInfo, []byte) error { return nil }
	w := NewWriter(oneTier)
	if _, err := w.Finish(Stamp{}, yes, no); err != ErrEmpty {
		t.Fatal(err)
	}
	blocks := small()
	w.Add(blocks[1])
	w.Add(blocks[0])
	if _, err := w.Finish(Stamp{}, yes, no); err == nil {
		t.Fatal("blocks in the wrong order were sealed")
	}
	stop := errors.New("stop")
	w.Reset()
	w.Add(blocks[0])
	if _, err := w.Finish(Stamp{}, func(*ChunkInfo, []byte) error { return stop }, no); err != stop {
		t.Fatal(err)
	}
	if _, err := w.Finish(Stamp{}, yes, func(int, []byte) error { return stop }); err != stop {
		t.Fatal(err)
	}
	if w.Len() != blocks[0].Len() || w.Bytes() != blocks[0].PayloadBytes() {
		t.Fatal(w.Len(), w.Bytes())
	}
}

// small makes two blocks with a hole between: a few agents, kinds, producers and keys.
func small() []*block.Block {
	rng := rand.New(rand.NewPCG(5, 5))
	a, b := block.NewBuilder(1000, 1, 0), block.NewBuilder(1100, 1, 0)
	for i, k := range []*block.Builder{a, a, a, a, a, a, a, b, b, b, b, b} {
		for j := range 3 {
			r := block.Record{Kind: block.KindEvent, Class: uint8(rng.IntN(3)), Flags: uint8(i % 3), Recv: int64(1e18) + int64(i)*1000,
				Producer: uint32(1 + i%2), Seq: uint64(i*3 + j), Agent: rng.Uint32N(5), Key: []uint32{0, 70_000, 5}[rng.IntN(3)]}
			for range rng.IntN(40) {
				r.Payload = append(r.Payload, "abcdefgh"[rng.IntN(8)])
			}
			k.Append(&r, -1)
		}
		k.Append(&block.Record{Kind: block.KindTick, Recv: int64(1e18) + int64(i)*1000}, -1)
	}
	return []*block.Block{a.Block(), b.Block()}
}

// TestEveryFlipIsSeen flips each bit, and cuts after each byte, of small values.
func TestEveryFlipIsSeen(t *testing.T) {
	s := sealBlocks(t, NewWriter(byClass), small())
	f := func(part string, value []byte, decode func(p []byte) error) {
		t.Helper()
		var bad *CorruptError
		for i := range len(value) * 8 {
			value[i/8] ^= 1 << (i % 8)
			if err := decode(value); !errors.As(err, &bad) || bad.Part != part {
				t.Fatalf("%s, bit %d: %v", part, i, err)
			}
			value[i/8] ^= 1 << (i % 8)
		}
		for n := range value {
			if err := decode(value[:n]); !errors.As(err, &bad) || bad.Part != part {
				t.Fatalf("%s of %d bytes: %v", part, n, err)
			}
		}
		if err := decode(value); err != nil {
			t.Fatal(err)
		}
	}
	f("index", s.index, func(p []byte) error { _, err := DecodeIndex(p); return err })
	f("key page", s.pages[0], func(p []byte) error { _, err := LookKey(p, 5); return err })
	for i := range s.chunks {
		c := &s.x.Chunks[i]
		f("chunk", s.chunks[i], func(p []byte) error {
			_, err := DecodeChunk(c, p)
			if bad := (*CorruptError)(nil); errors.As(err, &bad) && (bad.Tier != c.Tier || bad.No != c.No) {
				t.Fatal(err)
			}
			return err
		})
	}
}

// TestWrongChunkIsSeen: an intact chunk under the key of another one is refused.
func TestWrongChunkIsSeen(t *testing.T) {
	s := sealBlocks(t, NewWriter(byClass), small())
	if len(s.chunks) < 2 {
		t.Fatal("one chunk only")
	}
	var bad *CorruptError
	if _, err := DecodeChunk(&s.x.Chunks[0], s.chunks[1]); !errors.As(err, &bad) {
		t.Fatal(err)
	}
	for i, change := range []func(c *ChunkInfo){
		func(c *ChunkInfo) { c.Tier++ }, func(c *ChunkInfo) { c.FirstAgent++ }, func(c *ChunkInfo) { c.LastAgent++ },
		func(c *ChunkInfo) { c.FirstOffset++ }, func(c *ChunkInfo) { c.LastOffset++ }, func(c *ChunkInfo) { c.RecvMin++ },
		func(c *ChunkInfo) { c.RecvMax++ }, func(c *ChunkInfo) { c.Count++ }, func(c *ChunkInfo) { c.Kinds++ },
		func(c *ChunkInfo) { c.Classes ^= 1 << 60 }, func(c *ChunkInfo) { c.Len++ }, func(c *ChunkInfo) { c.CRC++ },
	} {
		c := s.x.Chunks[0]
		change(&c)
		if _, err := DecodeChunk(&c, s.chunks[0]); !errors.As(err, &bad) {
			t.Errorf("change %d: %v", i, err)
		}
	}
}

func resealed(p []byte, change func(p []byte)) []byte {
	p = bytes.Clone(p[:len(p)-4])
	change(p)
	return seal(p, 0)
}

func TestNewerVersionIsNamed(t *testing.T) {
	s := sealBlocks(t, NewWriter(oneTier), small())
	newer := func(p []byte) []byte { return resealed(p, func(p []byte) { p[4]++ }) }
	var v *VersionError
	if _, err := DecodeIndex(newer(s.index)); !errors.As(err, &v) || v.Part != "index" || v.Got != indexVersion+1 || v.Most != indexVersion {
		t.Error(err)
	}
	if _, err := LookKey(newer(s.pages[0]), 5); !errors.As(err, &v) || v.Part != "key page" {
		t.Error(err)
	}
	value := newer(s.chunks[0])
	c := s.x.Chunks[0]
	c.CRC = binary.LittleEndian.Uint32(value[len(value)-4:])
	if _, err := DecodeChunk(&c, value); !errors.As(err, &v) || v.Part != "chunk" {
		t.Error(err)
	}
}

func golden(t *testing.T, name string, got []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("EYRIE_GOLDEN") != "" {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return want
}

// TestGolden pins the formats: what was once written reads the same for ever,
// and what is written now is the same but for the compressor's choices. If a
// change is meant, raise the version, keep reading the old files, and write new
// ones with EYRIE_GOLDEN=1 go test ./wal/stretch -run Golden.
func TestGolden(t *testing.T) {
	blocks := small()
	w := NewWriter(byClass)
	s := sealBlocks(t, w, blocks)
	if want := golden(t, "page.v1.golden", s.pages[0]); !bytes.Equal(want, s.pages[0]) {
		t.Error("the key page's bytes have changed")
	}
	var columns []byte
	for _, c := range w.enc.cols { // of the last chunk
		columns = append(binary.AppendUvarint(columns, uint64(len(c))), c...)
	}
	if want := golden(t, "columns.v1.golden", columns); !bytes.Equal(want, columns) {
		t.Error("the columns' bytes have changed")
	}
	for v := 1; v <= chunkVersion; v++ {
		file := func(name string, got []byte) []byte {
			if v < chunkVersion { // no longer written
				got, _ = os.ReadFile(filepath.Join("testdata", name))
			}
			return golden(t, name, got)
		}
		old := &sealed{index: file(fmt.Sprintf("index.chunks%d.golden", v), s.index), pages: s.pages}
		var err error
		if old.x, err = DecodeIndex(old.index); err != nil {
			t.Fatal(err)
		}
		for i := range old.x.Chunks {
			old.chunks = append(old.chunks, file(fmt.Sprintf("chunk%d.v%d.golden", i, v), s.chunks[i]))
		}
		old.compare(t, blocks, byClass)
		// lengths and checksums aside
		bare := *old.x
		bare.Chunks = slices.Clone(bare.Chunks)
		for i := range bare.Chunks {
			bare.Chunks[i].Len, bare.Chunks[i].CRC = s.x.Chunks[i].Len, s.x.Chunks[i].CRC
		}
		if !bytes.Equal(bare.Append(nil), s.index) {
			t.Error("the index's bytes have changed")
		}
	}
}

// TestPartIsShared reads one part from many goroutines while others decode.
func TestPartIsShared(t *testing.T) {
	blocks := mix(t, 10, 1<<20)
	s := sealBlocks(t, NewWriter(oneTier), blocks)
	p, err := DecodeChunk(&s.x.Chunks[0], s.chunks[0])
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range s.chunks {
				q, err := DecodeChunk(&s.x.Chunks[i], s.chunks[i])
				if err != nil || q.Digest() != s.x.Chunks[i].Digest {
					t.Errorf("chunk %d: %v", i, err)
				}
			}
			if p.Digest() != s.x.Chunks[0].Digest {
				t.Error("the part has changed")
			}
		})
	}
	wg.Wait()
}

func FuzzIndex(f *testing.F) {
	for _, tier := range []func(*block.Record) uint8{oneTier, byClass} {
		f.Add(sealBlocks(f, NewWriter(tier), small()).index)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		if len(value) < indexFixed {
			return
		}
		x, err := openIndex(value[:len(value):len(value)]) // behind the checksum, so that the fuzzer gets that far
		if err != nil {
			return
		}
		x.OfAgent(0, 1)
		x.KeyPage(7)
		y, err := DecodeIndex(x.Append(nil))
		if err != nil || fmt.Sprint(*x) != fmt.Sprint(*y) {
			t.Fatalf("%v\n%v\n%v", err, x, y)
		}
	})
}

func FuzzKeyPage(f *testing.F) {
	s := sealBlocks(f, NewWriter(byClass), small())
	f.Add(s.pages[0][:len(s.pages[0])-4], uint32(5))
	f.Add(s.pages[0][:len(s.pages[0])-4], uint32(70_000))
	f.Fuzz(func(t *testing.T, body []byte, key uint32) {
		if len(body) < pageFixed {
			return
		}
		chunks, err := lookKey(body, key)
		if len(chunks) > len(body) || !slices.IsSorted(chunks) {
			t.Fatalf("%d chunks from %d bytes, %v", len(chunks), len(body), err)
		}
	})
}

// plain returns a chunk without its checksum whose sections are not compressed.
func plain(tb testing.TB, value []byte) []byte {
	r, d := reader{p: value[chunkFixed : len(value)-4]}, newDecoder()
	out := bytes.Clone(value[:chunkFixed])
	for len(r.p) > 0 {
		s, msg := cut(&r, PayloadBytesMax)
		raw, bad := s.unpack(d, nil)
		if msg+bad != "" {
			tb.Fatal(msg, bad)
		}
		out = append(out, codecNone)
		out = binary.LittleEndian.AppendUint32(out, uint32(len(raw)))
		out = binary.LittleEndian.AppendUint32(out, uint32(len(raw)))
		out = append(out, raw...)
	}
	return out
}

// messages makes a block whose payloads are divided.
func messages(n int) *block.Block {
	rng := rand.New(rand.NewPCG(9, 9))
	b := block.NewBuilder(7, 0, 0)
	for range n {
		b.Append(&block.Record{Recv: 1, Kind: block.KindEvent, Agent: rng.Uint32N(4), Payload: message(rng, nil, 3, 1)}, -1)
	}
	return b.Block()
}

// TestDecodeInto decodes chunks into the memory of others.
func TestDecodeInto(t *testing.T) {
	var p Part
	for _, blocks := range [][]*block.Block{small(), {messages(300)}, small(), {messages(2)}} {
		s := sealBlocks(t, NewWriter(byClass), blocks)
		for i, c := range s.chunks {
			if _, err := DecodeChunkUnless(&s.x.Chunks[i], c[:len(c)-1], Skip{}, &p); err == nil {
				t.Fatal("a chunk that is cut off was decoded")
			}
			got, err := DecodeChunkUnless(&s.x.Chunks[i], c, Skip{}, &p)
			if err != nil {
				t.Fatal(err)
			}
			want, err := DecodeChunk(&s.x.Chunks[i], c)
			if err != nil {
				t.Fatal(err)
			}
			if got != &p || got.Len() != want.Len() || got.Digest() != want.Digest() {
				t.Errorf("chunk %d: %d records with digest %x, want %d with %x", i, got.Len(), got.Digest(), want.Len(), want.Digest())
			}
		}
	}
}

func FuzzChunk(f *testing.F) {
	s := sealBlocks(f, NewWriter(byClass), small())
	m := sealBlocks(f, NewWriter(oneTier), []*block.Block{messages(12)})
	for _, c := range append(s.chunks, m.chunks...) {
		f.Add(c[:len(c)-4])
		p := plain(f, c)
		if _, err := openChunk(p, Skip{}, nil); err != nil {
			f.Fatal(err)
		}
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) < chunkFixed {
			return
		}
		p, err := openChunk(body, Skip{}, nil)
		if err != nil {
			return
		}
		sum := 0
		for i := range p.Len() {
			r := p.Record(i)
			sum += len(r.Payload)
			if from, to := p.Agent(r.Agent); i < from || i >= to {
				t.Fatalf("agent %d is at %d to %d, record at %d", r.Agent, from, to, i)
			}
		}
		if sum != len(p.payload) || p.Len() > RecordsMax || len(p.payload) > max(PayloadBytesMax, len(body)*zstdBlock) {
			t.Fatalf("payloads of %d bytes, %d in the part", sum, len(p.payload))
		}
	})
}
