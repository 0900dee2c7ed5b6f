package ring

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func TestNewRefusesBadSizes(t *testing.T) {
	bad := func(size, headroom int) {
		t.Helper()
		defer func() {
			if recover() == nil {
				t.Errorf("New(%d, %d) did not panic", size, headroom)
			}
		}()
		New(size, headroom)
	}
	bad(0, 0)
	bad(32, 0)
	bad(96, 0)
	bad(1<<31, 0)
	bad(64, -1)
	bad(64, 64)
}

func TestCost(t *testing.T) {
	for _, c := range []struct{ n, want int }{{0, 4}, {1, 8}, {4, 8}, {5, 12}, {8, 12}} {
		if got := Cost(c.n); got != c.want {
			t.Errorf("Cost(%d) = %d, want %d", c.n, got, c.want)
		}
	}
}

// TestLargestFitsAnywhere holds what Largest promises: at every position of
// an empty ring a record of that size fits, and one align more fails at one.
func TestLargestFitsAnywhere(t *testing.T) {
	for _, headroom := range []int{0, 12, 40} {
		for _, critical := range []bool{false, true} {
			refused := false
			for skip := 0; skip < 64; skip += align {
				r := New(64, headroom)
				for range skip / align {
					if _, ok := r.Reserve(0, true); !ok {
						t.Fatal("a bare header does not fit an empty ring")
					}
					r.Publish()
					r.Next()
					r.Release()
				}
				n := r.Largest(critical)
				if _, ok := r.Reserve(n, critical); !ok {
					t.Errorf("headroom %d critical %v at %d: Largest %d does not fit", headroom, critical, skip, n)
				}
				r.Abort()
				if _, ok := r.Reserve(n+align, critical); !ok {
					refused = true
				}
			}
			if !refused {
				t.Errorf("headroom %d critical %v: Largest could be larger", headroom, critical)
			}
		}
	}
}

func TestHeadroomIsForCritical(t *testing.T) {
	r := New(64, 16)
	n := 0
	for {
		if _, ok := r.Reserve(4, false); !ok {
			break
		}
		n++
	}
	if n != 6 { // 6 × 8 = 48 = 64 − 16
		t.Fatalf("%d ordinary records, want 6", n)
	}
	for i := range 2 {
		if _, ok := r.Reserve(4, true); !ok {
			t.Fatalf("critical record %d refused in the headroom", i)
		}
	}
	if _, ok := r.Reserve(0, true); ok {
		t.Fatal("a record beyond the size")
	}
}

// naive is what the ring is compared with: a queue of byte slices.
type naive struct {
	pending, queue, want [][]byte
	held                 [][]byte // the ring's own bytes of want, until Release
}

// TestAgainstNaive drives one ring by random calls from one goroutine and
// compares every answer with a plain queue.
func TestAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := 1 << rapid.IntRange(6, 10).Draw(t, "sizeLog")
		headroom := rapid.IntRange(0, size/2).Draw(t, "headroom")
		r, q := New(size, headroom), naive{}
		r.warm = uint64(rapid.IntRange(0, size).Draw(t, "warm"))
		seq := byte(0)
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				for i, b := range q.held { // what Next gave stays put until Release
					if !bytes.Equal(b, q.want[i]) {
						t.Fatalf("held record % x, want % x", b, q.want[i])
					}
				}
				if u := r.Used(); u < 0 || u > r.Size() {
					t.Fatalf("Used %d of %d", u, r.Size())
				}
			},
			"reserve": func(t *rapid.T) {
				n := rapid.IntRange(0, size/2).Draw(t, "n")
				critical := rapid.Bool().Draw(t, "critical")
				b, ok := r.Reserve(n, critical)
				if !ok {
					if len(q.pending)+len(q.queue)+len(q.held) == 0 && n <= r.Largest(critical) {
						t.Fatalf("%d bytes refused by an empty ring, Largest %d", n, r.Largest(critical))
					}
					return
				}
				if len(b) != n || cap(b) != n {
					t.Fatalf("len %d cap %d, want %d", len(b), cap(b), n)
				}
				seq++
				for i := range b {
					b[i] = seq + byte(i)
				}
				q.pending = append(q.pending, bytes.Clone(b))
			},
			"publish": func(*rapid.T) {
				r.Publish()
				q.queue, q.pending = append(q.queue, q.pending...), nil
			},
			"abort": func(*rapid.T) {
				r.Abort()
				q.pending = nil
			},
			"next": func(t *rapid.T) {
				b, ok := r.Next()
				if ok != (len(q.queue) > 0) {
					t.Fatalf("Next says %v with %d queued", ok, len(q.queue))
				}
				if !ok {
					return
				}
				if !bytes.Equal(b, q.queue[0]) {
					t.Fatalf("record % x, want % x", b, q.queue[0])
				}
				q.held, q.want, q.queue = append(q.held, b), append(q.want, q.queue[0]), q.queue[1:]
			},
			"release": func(*rapid.T) {
				r.Release()
				q.held, q.want = nil, nil
				if len(q.queue) == 0 && r.Used() != 0 {
					t.Fatalf("empty ring uses %d bytes", r.Used())
				}
			},
		})
	})
}

func TestNoAllocs(t *testing.T) {
	r := New(1<<16, 1<<10)
	p := bytes.Repeat([]byte{7}, 130)
	if n := testing.AllocsPerRun(2000, func() {
		for range 10 {
			b, ok := r.Reserve(len(p), false)
			if !ok {
				t.Fatal("full")
			}
			copy(b, p)
		}
		r.Publish()
		for {
			if _, ok := r.Next(); !ok {
				break
			}
		}
		r.Release()
	}); n != 0 {
		t.Fatalf("%v allocations, want 0", n)
	}
}
