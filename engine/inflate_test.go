//go:build linux

package engine

import (
	"bytes"
	stdflate "compress/flate"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/flate"
)

// inflateAll inflates a message in steps of budget bytes into a buffer that
// grows by room; nil, false if it is no DEFLATE or larger than most.
func inflateAll(p []byte, budget, room, most int) ([]byte, bool) {
	var f inflater
	f.start(append(bytes.Clone(p), inflateTail[:]...))
	out := make([]byte, 0, room)
	for {
		var why inflated
		left := budget
		switch out, why = f.step(out, &left); why {
		case inflatedWhole:
			return out, true
		case inflatedBad:
			return nil, false
		case inflatedFull:
			if len(out) > most {
				return nil, false
			}
			out = append(make([]byte, 0, len(out)+room), out...)
		}
	}
}

// TestInflateExamples: RFC 7692, 7.2.3.
func TestInflateExamples(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"f248cdc9c90700", "Hello"},
		{"000500faff48656c6c6f00", "Hello"},              // 7.2.3.3: a block without compression
		{"f348cdc9c9070000", "Hello"},                    // 7.2.3.4: a last block, then an empty one
		{"f24805000000ffffcac9c90700", "Hello"},          // 7.2.3.5: two blocks
		{"00", ""},                                       // 7.2.3.6: nothing
		{"", ""},                                         // less than nothing, sent by some
		{"f348cdc9c90700", "Hello"},                      // a last block and no empty one: nothing is missing
		{"f348cdc9c90700f348cdc9c9070000", "HelloHello"}, // two streams
	} {
		in, _ := hex.DecodeString(c.in)
		for _, budget := range []int{1, 3, 1 << 20} {
			for _, room := range []int{1, 4, 100} {
				if out, ok := inflateAll(in, budget, room, 100); !ok || string(out) != c.want {
					t.Errorf("%s: %q %v, want %q", c.in, out, ok, c.want)
				}
			}
		}
	}
	for _, bad := range []string{"07", "ff", "000500fbff48656c6c6f00", "000500faff48656c", "f248cdc9c907", "f2", "0c", "ecfd"} {
		in, _ := hex.DecodeString(bad)
		if out, ok := inflateAll(in, 100, 100, 100); ok {
			t.Errorf("%s: taken as %q", bad, out)
		}
	}
}

// samples are texts of every kind that compression minds.
func samples() (all [][]byte) {
	rnd := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 100_000)
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	words := []byte{}
	for len(words) < 300_000 {
		words = append(words, `{"type":"tool","name":`...)
		words = append(words, noise[rnd.IntN(1000):][:rnd.IntN(9)]...)
	}
	skew := make([]byte, 200_000) // codes of every length
	for i := range skew {
		for skew[i] < 200 && rnd.IntN(2) == 0 {
			skew[i]++
		}
	}
	return [][]byte{nil, {0}, []byte("x"), noise[:100], noise, words, words[:70_000], skew, make([]byte, 1<<20),
		bytes.Repeat([]byte("ab"), 5000), bytes.Repeat(noise[:32768], 3), bytes.Repeat(noise[:300], 200)}
}

func TestInflateAgainstDeflate(t *testing.T) {
	levels := []int{-2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	if testing.Short() { // each kind of block, beside the detector of races
		levels = []int{-2, 0, 1, 9}
	}
	for i, want := range samples() {
		for _, level := range levels {
			var b bytes.Buffer
			w, _ := stdflate.NewWriter(&b, level)
			for at := 0; at < len(want); at += 90_000 {
				w.Write(want[at:min(at+90_000, len(want))])
				if i%2 == 0 {
					w.Flush()
				}
			}
			w.Flush()
			in := bytes.TrimSuffix(b.Bytes(), inflateTail[:])
			for _, step := range [][2]int{{1 << 30, 1 << 21}, {999, 1 + len(want)/7}, {1 << 14, 100_000}} {
				if out, ok := inflateAll(in, step[0], step[1], len(want)+step[1]); !ok || !bytes.Equal(out, want) {
					t.Fatalf("sample %d, level %d, step %v: %d bytes, %v", i, level, step, len(out), ok)
				}
			}
		}
	}
}

// TestInflateStepsAreBounded: blocks that yield nothing use the budget up.
func TestInflateStepsAreBounded(t *testing.T) {
	empty := bytes.Repeat([]byte{0, 0, 0, 0xff, 0xff}, 1<<16)
	empty = empty[:len(empty)-len(inflateTail)]
	var f inflater
	f.start(append(empty, inflateTail[:]...))
	steps := 0
	for {
		before := f.at
		left := 1 << 14
		_, why := f.step(nil, &left)
		if steps++; f.at-before > 5*(1<<14/inflateBlockCost+1) {
			t.Fatalf("%d bytes in one step", f.at-before)
		}
		if why == inflatedBad {
			t.Fatal("refused")
		}
		if why == inflatedWhole {
			break
		}
	}
	if steps < 1<<16*inflateBlockCost>>14 {
		t.Errorf("%d steps", steps)
	}
}

// reference inflates with the library, by the trick of 7.2.2; whole says that
// the message was one stream to its end.
func reference(p []byte, most int) (out []byte, whole bool) {
	src := bytes.NewReader(append(bytes.Clone(p), 0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff))
	out, err := io.ReadAll(io.LimitReader(flate.NewReader(src), int64(most)+1))
	return out, err == nil && len(out) <= most && src.Len() == 0
}

// FuzzInflate: never a panic; what the library takes as one stream is taken
// alike, and what is taken in one step is taken alike in many.
func FuzzInflate(f *testing.F) {
	for _, s := range samples() {
		var b bytes.Buffer
		w, _ := flate.NewWriter(&b, 6)
		w.Write(s[:min(len(s), 3000)])
		w.Flush()
		f.Add(bytes.TrimSuffix(b.Bytes(), inflateTail[:]))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		const most = 1 << 16
		one, ok := inflateAll(p, 1<<30, most+300, most)
		many, ok2 := inflateAll(p, 370, 5003, most)
		if ok != ok2 && len(one) <= most || ok && ok2 && !bytes.Equal(one, many) {
			t.Fatalf("one step: %d %v, many: %d %v", len(one), ok, len(many), ok2)
		}
		if want, good := reference(p, most); good && (!ok || !bytes.Equal(one, want)) {
			t.Fatalf("got %d %v, the library %d", len(one), ok, len(want))
		}
	})
}

func BenchmarkInflate(b *testing.B) {
	for _, c := range []struct {
		name string
		p    []byte
	}{{"words", samples()[5]}, {"zeros", samples()[8]}, {"skew", samples()[7]}} {
		var buf bytes.Buffer
		w, _ := flate.NewWriter(&buf, 1)
		w.Write(c.p)
		w.Flush()
		in := buf.Bytes()
		out := make([]byte, 0, len(c.p)+1)
		b.Run("by=ours/of="+c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.p)))
			var f inflater
			for b.Loop() {
				f.start(in)
				left := 1 << 30
				if _, why := f.step(out, &left); why != inflatedWhole {
					b.Fatal(why)
				}
			}
		})
		b.Run("by=library/of="+c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.p)))
			src := bytes.NewReader(nil)
			r := flate.NewReader(src)
			for b.Loop() {
				src.Reset(in)
				r.(flate.Resetter).Reset(src, nil)
				io.ReadFull(r, out[:len(c.p)])
			}
		})
	}
}
