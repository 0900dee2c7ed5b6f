package ring

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"testing"
)

// TestTwoSides runs both sides at once: frames of records, some aborted, each
// record numbered and filled from its number. Meant for -race.
func TestTwoSides(t *testing.T) {
	frames := 20_000
	if testing.Short() {
		frames = 2_000
	}
	r := New(4096, 512)
	total := make(chan uint64, 1)
	go func() {
		rnd := rand.New(rand.NewPCG(1, 2))
		seq := uint64(0)
		for range frames {
			for {
				first, whole := seq, true
				for range 1 + rnd.IntN(8) {
					n := 8 + rnd.IntN(120)
					b, ok := r.Reserve(n, rnd.IntN(4) == 0)
					if !ok {
						whole = false
						break
					}
					seq++
					fill(b, seq)
				}
				if whole && rnd.IntN(16) != 0 {
					r.Publish()
					break
				}
				r.Abort()
				seq = first
				runtime.Gosched()
			}
		}
		total <- seq
	}()
	want, last := uint64(0), uint64(0)
	for last == 0 || want < last {
		b, ok := r.Next()
		if !ok {
			r.Release()
			select {
			case last = <-total:
			default:
				runtime.Gosched()
			}
			continue
		}
		want++
		if got := binary.LittleEndian.Uint64(b); got != want {
			t.Fatalf("record %d, want %d", got, want)
		}
		for i := 8; i < len(b); i++ {
			if b[i] != byte(want+uint64(i)) {
				t.Fatalf("record %d: byte %d is %d, want %d", want, i, b[i], byte(want+uint64(i)))
			}
		}
		if want%5 == 0 {
			r.Release()
		}
	}
	if _, ok := r.Next(); ok {
		t.Fatal("a record after the last one")
	}
	r.Release()
	if r.Used() != 0 {
		t.Fatalf("%d bytes in use at the end", r.Used())
	}
}

func fill(b []byte, seq uint64) {
	binary.LittleEndian.PutUint64(b, seq)
	for i := 8; i < len(b); i++ {
		b[i] = byte(seq + uint64(i))
	}
}
