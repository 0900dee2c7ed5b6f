package stretch

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"eyrie/wal/block"
)

// FuzzFilter holds that a filter never denies a text that is in a piece, in any
// case of its letters, as a walk over all of them finds it.
func FuzzFilter(f *testing.F) {
	f.Add([]byte("The quick brown fox"), []byte("jumps, ÜBER den K\u212a Zaun"), uint16(4), uint16(9))
	f.Add([]byte{0xa4, 'n', 'a', 'm', 'e', 0xa3, 'a', 'b', 'c'}, []byte("DEADBEEFdeadbeefGhij"), uint16(8), uint16(12))
	f.Fuzz(func(t *testing.T, a, b []byte, from, n uint16) {
		var got []uint32
		gramsOf(a, func(x uint32) bool { got = append(got, x); return true })
		if want := plainGrams(a); !slices.Equal(got, want) {
			t.Fatalf("the grams of %q are %x, want %x", a, got, want)
		}
		var g grams
		g.add([]byte("what was there before"))
		g.reset()
		g.add(a)
		g.add(b)
		fl := filter(g.filter([]byte("before"), 1<<20)[len("before"):])
		if len(fl) == 0 || len(fl) > max(1, len(a)+len(b)) {
			t.Fatalf("a filter of %d bytes for %d", len(fl), len(a)+len(b))
		}
		for _, p := range [][]byte{a, b} {
			at := min(int(from), len(p))
			text := p[at:min(at+int(n), len(p))]
			for _, x := range [][]byte{p, text, asciiCase(text, false), asciiCase(text, true)} {
				if !fl.may(x) {
					t.Fatalf("%q is in %q, and the filter says no", x, p)
				}
			}
		}
	})
}

// plainGrams is gramsOf, looking at each four bytes.
func plainGrams(p []byte) (out []uint32) {
	for i := 0; i+gramLetters <= len(p); i++ {
		gram, all, beyond := uint32(0), true, false
		for _, c := range p[i : i+gramLetters] {
			x := letters[c]
			gram, all, beyond = gram<<5|uint32(x), all && x > 0, beyond || x > 6
		}
		if all && beyond {
			out = append(out, gram)
		}
	}
	return out
}

// asciiCase folds ASCII letters alone.
func asciiCase(p []byte, upper bool) []byte {
	return bytes.Map(func(r rune) rune {
		switch {
		case upper && r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case !upper && r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}, p)
}

// speaking makes messages with texts of so many random words, or of letters alone
// that are never alike.
func speaking(rng *rand.Rand, n, words int) *block.Block {
	b := block.NewBuilder(1, 0, 0)
	word := func() string {
		var s strings.Builder
		if words == 0 {
			for range 100 {
				s.WriteByte("AbCdEfGhIjKlMnOpQrStUvWxYz"[rng.IntN(26)])
			}
			return s.String()
		}
		w := rand.New(rand.NewPCG(rng.Uint64N(uint64(words)), 7))
		for range 1 + w.IntN(12) {
			s.WriteString(string([]rune("etaonirsTNRSzZqü9-Ж ")[w.IntN(20)]))
		}
		return s.String()
	}
	for i := range n {
		text := word() + " " + word()
		for len(text) < 200 && rng.IntN(4) > 0 {
			text += " " + word()
		}
		p := []byte{0x82, 0xa4, 'n', 'a', 'm', 'e', 0xda, byte(len(text) >> 8), byte(len(text))}
		p = append(append(p, text...), 0xa1, 'k', byte(rng.IntN(128)))
		if rng.IntN(9) == 0 { // no map: kept whole
			p = []byte(text)
		}
		if !b.Fits(len(p)) {
			break
		}
		b.Append(&block.Record{Recv: int64(i), Kind: block.KindEvent, Agent: rng.Uint32N(3), Payload: p}, -1)
	}
	return b.Block()
}

// TestFilterNeverDenies compares what is skipped by chunks' filters with a walk
// over all payloads, for words that are there, cut out of them, and not there; also
// after a forget.
func TestFilterNeverDenies(t *testing.T) {
	with, without, skipped, held := 0, 0, 0, 0
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 1))
		n := []int{1, 2, 30, 500}[seed%4]
		b := speaking(rng, 1+rng.IntN(n), []int{3, 40, 10_000, 0}[seed/4%4])
		w := NewWriter(oneTier)
		w.Add(b)
		one := func(c *ChunkInfo, v []byte) {
			p, err := ProveChunk(c, v)
			if err != nil {
				t.Fatal(err)
			}
			for range 30 {
				r := p.Record(rng.IntN(p.Len()))
				text := []byte("zzyzzyva")
				if rng.IntN(3) > 0 && len(r.Payload) > 0 {
					from := rng.IntN(len(r.Payload))
					text = asciiCase(r.Payload[from:min(len(r.Payload), from+1+rng.IntN(14))], rng.IntN(2) == 0)
				}
				there := false
				for i := range p.Len() {
					x := p.Record(i)
					there = there || bytes.Contains(asciiCase(x.Payload, false), asciiCase(text, false))
				}
				got, err := DecodeChunkUnless(c, v, Skip{Texts: func(may func([]byte) bool) bool { return !may(text) }}, nil)
				if err != nil || got == nil && there && wholeText(text) {
					t.Fatalf("%q is there, but the chunk was skipped: %v", text, err)
				}
				if got == nil {
					skipped++
				} else if there {
					held++
				}
			}
		}
		_, err := w.Finish(someStamp, func(c *ChunkInfo, v []byte) error {
			if o := filterOf(v); len(o) > 0 {
				with++
			} else {
				without++
			}
			c2, v := *c, bytes.Clone(v)
			one(&c2, v)
			p, err := DecodeChunk(&c2, v)
			if err != nil {
				return err
			}
			again := NewWriter(oneTier)
			if v, n, _ := again.Forget(&c2, p, func(r *block.Record) bool {
				if r.Agent == 1 && len(r.Payload) > 0 {
					r.Payload = nil
					return true
				}
				return false
			}); n > 0 {
				one(&c2, bytes.Clone(v))
			}
			return nil
		}, func(int, []byte) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d chunks with a filter, %d without; %d words skipped, %d found", with, without, skipped, held)
	if with == 0 || without == 0 || skipped == 0 || held == 0 {
		t.Error("not all of it was tried")
	}
}

// wholeText tells that a text holds no byte of a frame around texts: only what
// lies whole in one piece may be asked for.
func wholeText(p []byte) bool {
	return bytes.IndexFunc(p, func(r rune) bool { return r < ' ' || r == '\ufffd' }) < 0
}

// filterOf returns the filter of a chunk.
func filterOf(value []byte) []byte {
	o := openers.Get().(*opener)
	defer openers.Put(o)
	body := value[:len(value)-4]
	if err := o.cut(1<<10, int(body[6])|int(body[7])<<8, body); err != nil {
		panic(err)
	}
	return bytes.Clone(o.filter)
}

// TestFilterSkips holds how often texts that are not there are let through.
func TestFilterSkips(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	w := NewWriter(oneTier)
	w.Add(speaking(rng, 1000, 40))
	let := 0
	const tries = 2000
	x, err := w.Finish(someStamp, func(c *ChunkInfo, v []byte) error {
		for range tries {
			text := []byte("    ")
			for i := range text {
				text[i] = "bcdfghjklmpvwxy"[rng.IntN(15)] // of which speaking has none
			}
			text[0] = 'x'
			p, err := DecodeChunkUnless(c, v, Skip{Texts: func(may func([]byte) bool) bool { return !may(text) }}, nil)
			if err != nil {
				return err
			}
			if p != nil {
				let++
			}
		}
		return nil
	}, func(int, []byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if most := tries * len(x.Chunks) / 20; let > most {
		t.Errorf("%d of %d were let through, at most %d expected", let, tries*len(x.Chunks), most)
	}
}

// TestFilterIsProven damages a filter: who proves the chunk sees it.
func TestFilterIsProven(t *testing.T) {
	s := sealBlocks(t, NewWriter(oneTier), []*block.Block{speaking(rand.New(rand.NewPCG(1, 2)), 1000, 40)})
	v := bytes.Clone(s.chunks[0])
	f := filterOf(v)
	at := len(v) - 4 - len(f)
	if len(f) == 0 || !bytes.Equal(v[at:len(v)-4], f) {
		t.Fatalf("a filter of %d bytes is not at the end", len(f))
	}
	clear(v[at : len(v)-4])
	c := s.x.Chunks[0]
	v = seal(v[:len(v)-4], 0)
	c.CRC = checksum(v[:len(v)-4])
	if _, err := DecodeChunk(&c, v); err != nil {
		t.Fatal(err)
	}
	if p, err := ProveChunk(&c, v); err == nil || p != nil {
		t.Error("a filter that misses everything was believed")
	}
}
