package block

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// sample fills a block with n records: frames of several producers, a few
// records of the log's own, payloads of up to size bytes.
func sample(seed uint64, base uint64, n, size, agents, keys int) *Block {
	rng := rand.New(rand.NewPCG(seed, 0))
	b := NewBuilder(base, 4, 16)
	recv := int64(1_700_000_000_000_000_000)
	next := map[uint32]uint64{}
	for b.Len() < n {
		p := 1 + rng.Uint32N(5)
		from := next[p] + 1
		rng1 := -1
		for range 1 + rng.IntN(40) {
			if b.Len() == n {
				break
			}
			recv += rng.Int64N(3) * 1000
			text := make([]byte, rng.IntN(size+1))
			for i := range text {
				text[i] = "abcdefgh"[rng.IntN(8)]
			}
			if !b.Fits(len(text)) {
				return b.Block()
			}
			if rng.IntN(30) == 0 {
				b.Append(&Record{Kind: KindTick, Recv: recv, Payload: text}, -1)
				continue
			}
			next[p]++
			if rng1 < 0 {
				rng1 = b.OpenRange(Range{Producer: p, Epoch: uint64(p), From: from, To: from, Prev: base / 2})
			}
			b.Settle(rng1, next[p])
			key := uint32(0)
			if keys > 0 {
				key = 1 + rng.Uint32N(uint32(keys))*2654435761
			}
			b.Event(p, next[p], uint8(rng.IntN(14)), uint8(rng.IntN(256)), rng.Uint32N(uint32(agents)), key, recv, text, rng1)
		}
	}
	return b.Block()
}

func encode(b *Block, s Stamp) (header, body []byte, chain uint64) {
	var e Encoder
	body = e.Body(nil, b)
	header, chain = EncodeHeader(nil, b, body, s)
	return header, body, chain
}

// same compares two blocks record by record.
func same(a, b *Block) error {
	if a.Base() != b.Base() || a.Len() != b.Len() || a.Kinds() != b.Kinds() || a.Classes() != b.Classes() {
		return fmt.Errorf("block %d+%d, want %d+%d", b.Base(), b.Len(), a.Base(), a.Len())
	}
	for i := range a.Len() {
		x, y := a.Record(i), b.Record(i)
		if !bytes.Equal(x.Payload, y.Payload) {
			return fmt.Errorf("record %d: payload %q, want %q", i, y.Payload, x.Payload)
		}
		x.Payload, y.Payload = nil, nil
		if fmt.Sprint(x) != fmt.Sprint(y) {
			return fmt.Errorf("record %d: %v, want %v", i, y, x)
		}
	}
	if !slices.Equal(a.Ranges(), b.Ranges()) {
		return fmt.Errorf("ranges %v, want %v", b.Ranges(), a.Ranges())
	}
	return nil
}

func TestRoundTrip(t *testing.T) {
	f := func(n, size, agents, keys int) {
		t.Helper()
		b := sample(uint64(n+size), 1+uint64(n)*7, n, size, agents, keys)
		head, body, chain := encode(b, Stamp{LogID: [16]byte{1, 2}, Epoch: 3, Chain: 99})
		var h Header
		if err := DecodeHeader(head, &h); err != nil {
			t.Fatal(err)
		}
		if h.Epoch != 3 || h.LogID != [16]byte{1, 2} || h.Chain != 99 || h.Digest() != chain || h.Next() != b.Next() {
			t.Fatalf("header %+v", h)
		}
		got, err := Decode(&h, body)
		if err != nil {
			t.Fatal(err)
		}
		if err := same(b, got); err != nil {
			t.Fatal(err)
		}
		for _, buf := range [][]byte{nil, make([]byte, 0, 1<<19)} {
			if p, err := Payloads(&h, body, buf); err != nil || !bytes.Equal(p, b.Payloads()) {
				t.Fatalf("%d bytes of payloads (%v), the block has %d", len(p), err, len(b.Payloads()))
			}
		}
		// The header's sets hold what the block holds.
		have := map[uint32]bool{}
		for i := range b.Len() {
			r := b.Record(i)
			have[r.Agent] = true
			if r.Key != 0 && !h.MayHaveKey(r.Key) {
				t.Fatalf("key %d is not in the filter", r.Key)
			}
		}
		for a := range uint32(agents + 2) {
			if h.HasAgent(a) != have[a] {
				t.Fatalf("agent %d: in the set %v, in the block %v", a, h.HasAgent(a), have[a])
			}
		}
		if list := h.Agents(nil); len(list) != len(have) || !slices.IsSorted(list) {
			t.Fatalf("agents %v", list)
		}
	}
	f(1, 0, 1, 0)
	f(1, 100, 1, 1)
	f(2, 10, 3, 2)
	f(300, 50, 100, 400)
	f(1024, 132, 256, 3)
	f(1024, 132, 65000, 1<<20)
	f(1024, 4000, 300, 300) // ends at 256 KiB
}

func TestLargeRecordAlone(t *testing.T) {
	b := NewBuilder(5, 1, 0)
	text := bytes.Repeat([]byte("x1"), PayloadBytesMax)
	if !b.Fits(len(text)) {
		t.Fatal("a large record does not fit alone")
	}
	b.Event(1, 1, 1, 1, 1, 1, 1, text, b.OpenRange(Range{Producer: 1, From: 1, To: 1}))
	if b.Fits(1) {
		t.Fatal("something fits behind a large record")
	}
	blk := b.Block()
	head, body, _ := encode(blk, Stamp{})
	var h Header
	if err := DecodeHeader(head, &h); err != nil {
		t.Fatal(err)
	}
	got, err := Decode(&h, body)
	if err != nil {
		t.Fatal(err)
	}
	if err := same(blk, got); err != nil {
		t.Fatal(err)
	}
}

// TestEveryFlipIsSeen flips each bit of a small block's values.
func TestEveryFlipIsSeen(t *testing.T) {
	b := sample(1, 1, 20, 20, 5, 5)
	head, body, _ := encode(b, Stamp{})
	var h Header
	var corrupt *CorruptError
	for i := range len(head) * 8 {
		head[i/8] ^= 1 << (i % 8)
		if err := DecodeHeader(head, &h); !errors.As(err, &corrupt) {
			t.Fatalf("header bit %d: %v", i, err)
		}
		head[i/8] ^= 1 << (i % 8)
	}
	if err := DecodeHeader(head, &h); err != nil {
		t.Fatal(err)
	}
	for i := range len(body) * 8 {
		body[i/8] ^= 1 << (i % 8)
		if _, err := Decode(&h, body); !errors.As(err, &corrupt) || corrupt.Base != 1 {
			t.Fatalf("body bit %d: %v", i, err)
		}
		if _, err := Payloads(&h, body, nil); !errors.As(err, &corrupt) || corrupt.Base != 1 {
			t.Fatalf("payloads, body bit %d: %v", i, err)
		}
		body[i/8] ^= 1 << (i % 8)
	}
	for n := range head {
		if err := DecodeHeader(head[:n], &h); !errors.As(err, &corrupt) {
			t.Fatalf("header of %d bytes: %v", n, err)
		}
	}
	if err := DecodeHeader(head, &h); err != nil {
		t.Fatal(err)
	}
	for n := range body {
		if _, err := Decode(&h, body[:n]); !errors.As(err, &corrupt) {
			t.Fatalf("body of %d bytes: %v", n, err)
		}
	}
}

func TestNewerVersionIsNamed(t *testing.T) {
	b := sample(1, 1, 3, 10, 5, 5)
	head, _, _ := encode(b, Stamp{})
	head[4] = headerVersion + 1
	crc := checksum(head[:len(head)-4])
	head = append(head[:len(head)-4], byte(crc), byte(crc>>8), byte(crc>>16), byte(crc>>24))
	var h Header
	var v *VersionError
	if err := DecodeHeader(head, &h); !errors.As(err, &v) || v.Got != headerVersion+1 || v.Most != headerVersion {
		t.Fatal(err)
	}
}

// golden compares got with a file of testdata, or writes that with EYRIE_GOLDEN=1.
func golden(t *testing.T, name string, got []byte, write bool) []byte {
	t.Helper()
	path := filepath.Join("testdata", name)
	if write && os.Getenv("EYRIE_GOLDEN") != "" {
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

// TestGolden pins the format: what was once written reads the same for ever,
// and what is written now is the same but for the compressor's choices. If a
// change is meant, raise the version, keep reading the old files, and write new ones
// with EYRIE_GOLDEN=1 go test ./wal/block -run Golden.
func TestGolden(t *testing.T) {
	b := sample(7, 1000, 300, 60, 90, 40)
	var e Encoder
	body := e.Body(nil, b)
	head, _ := EncodeHeader(nil, b, body, Stamp{LogID: [16]byte{0xe1, 0x21}, Epoch: 2, Chain: 0x1122334455667788})
	if want := golden(t, "columns.v1.golden", e.columns, true); !bytes.Equal(e.columns, want) {
		t.Errorf("columns: %d bytes, %d expected, or other ones", len(e.columns), len(want))
	}
	wantHead, wantBody := golden(t, "header.v2.golden", head, true), golden(t, "body.v1.golden", body, true)
	// without the body's length and CRC, and the CRC over them
	bare := func(p []byte) []byte { return append(slices.Clone(p[:68]), p[76:len(p)-4]...) }
	if !bytes.Equal(bare(head), bare(wantHead)) {
		t.Error("the header's bytes have changed")
	}
	var h Header
	if err := DecodeHeader(wantHead, &h); err != nil {
		t.Fatal(err)
	}
	if h.Base != 1000 || h.Epoch != 2 || h.Chain != 0x1122334455667788 || h.Count != 300 || h.LogID != [16]byte{0xe1, 0x21} {
		t.Errorf("the golden header reads as %+v", h)
	}
	got, err := Decode(&h, wantBody)
	if err != nil {
		t.Fatal(err)
	}
	if err := same(b, got); err != nil {
		t.Fatal(err)
	}
	// version 1 had digests behind the ranges
	var old Header
	if err := DecodeHeader(golden(t, "header.v1.golden", nil, false), &old); err != nil {
		t.Fatal(err)
	}
	if got, err = Decode(&old, wantBody); err != nil {
		t.Fatal(err)
	}
	if err := same(b, got); err != nil {
		t.Fatal(err)
	}
}

func TestFind(t *testing.T) {
	b := NewBuilder(1, 0, 0)
	g := b.OpenRange(Range{Producer: 4, From: 1, To: 9})
	b.Event(4, 1, 0, 0, 0, 0, 1, []byte("a"), g)
	b.Append(&Record{Kind: KindShed, Producer: 4, Seq: 2, Recv: 1, Payload: AppendTo(nil, 5)}, g)
	b.Append(&Record{Kind: KindPos, Producer: 4, Recv: 1}, -1)
	b.Event(4, 6, 0, 0, 0, 0, 1, []byte("b"), g)
	blk := b.Block()
	for seq, want := range map[uint64]int{1: 0, 2: 1, 4: 1, 5: 1, 6: 3, 7: -1, 0: -1} {
		for hint := -1; hint < 6; hint++ {
			if got := blk.Find(4, seq, hint); got != want {
				t.Errorf("number %d with hint %d: %d, want %d", seq, hint, got, want)
			}
		}
	}
	if blk.Find(5, 1, 0) != -1 {
		t.Error("found a number of another producer")
	}
	r := blk.Record(1)
	if r.To() != 5 || len(r.Body()) != 0 {
		t.Error(r.To(), r.Body())
	}
}

func TestHeaderDoesNotAllocate(t *testing.T) {
	head, _, _ := encode(sample(1, 1, 1024, 132, 65000, 1<<20), Stamp{})
	var h Header
	if n := testing.AllocsPerRun(100, func() {
		if err := DecodeHeader(head, &h); err != nil || h.HasAgent(1<<30) || h.MayHaveKey(7) && h.Count == 0 {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func FuzzDecode(f *testing.F) {
	for i := range uint64(4) {
		b := sample(i, 1+i, 1+int(i)*100, 30, 9, int(i))
		head, body, _ := encode(b, Stamp{})
		f.Add(head, body)
	}
	f.Fuzz(func(t *testing.T, head, body []byte) {
		var h Header
		_ = DecodeHeader(head, &h)
		if len(head) < headerMin || openHeader(head, &h) != nil {
			return
		}
		h.Agents(nil)
		h.HasAgent(1)
		h.MayHaveKey(1)
		// Behind the checksums, so that the fuzzer gets that far.
		b, err := new(Scratch).open(&h, body, &Block{})
		if err != nil {
			return
		}
		if b.Len() > RecordsMax || b.Bytes() > RecordBytesMax+1<<20 {
			t.Fatalf("%d records, %d bytes", b.Len(), b.Bytes())
		}
		sum := 0
		for i := range b.Len() {
			sum += len(b.Record(i).Payload)
		}
		if sum != b.PayloadBytes() {
			t.Fatalf("payloads of %d bytes, %d in the block", sum, b.PayloadBytes())
		}
	})
}

// TestScratch decodes blocks into the memory of others, some of them damaged.
func TestScratch(t *testing.T) {
	var s Scratch
	for i, n := range []int{1024, 3, 700, 1, 1024} {
		blk := sample(uint64(i), 1, n, 50*i, 100, []int{0, 5, 1 << 20}[i%3])
		head, body, _ := encode(blk, Stamp{})
		var h Header
		if err := DecodeHeader(head, &h); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Decode(&h, body[:len(body)-1]); err == nil {
			t.Fatal("a body that is cut off was decoded")
		}
		got, err := s.Decode(&h, body)
		if err != nil {
			t.Fatal(err)
		}
		want, err := Decode(&h, body)
		if err != nil {
			t.Fatal(err)
		}
		if err := same(want, got); err != nil {
			t.Errorf("block %d: %v", i, err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	blk := sample(1, 1, 1024, 264, 65000, 1<<20)
	var e Encoder
	var body, head []byte
	b.SetBytes(int64(blk.PayloadBytes()))
	b.ReportAllocs()
	for b.Loop() {
		body = e.Body(body[:0], blk)
		head, _ = EncodeHeader(head[:0], blk, body, Stamp{})
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(blk.Len()), "ns/event")
	b.ReportMetric(float64(len(body)+len(head)-blk.PayloadBytes())/float64(blk.Len()), "over-payload-B/event")
}

func BenchmarkDecode(b *testing.B) {
	blk := sample(1, 1, 1024, 264, 65000, 1<<20)
	head, body, _ := encode(blk, Stamp{})
	b.SetBytes(int64(blk.PayloadBytes()))
	b.ReportAllocs()
	for b.Loop() {
		var h Header
		if err := DecodeHeader(head, &h); err != nil {
			b.Fatal(err)
		}
		if _, err := Decode(&h, body); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(blk.Len()), "ns/event")
}
