package ring

import (
	"fmt"
	"runtime"
	"testing"
)

func BenchmarkOneSide(b *testing.B) {
	for _, n := range []int{16, 130, 1024} {
		b.Run(fmt.Sprintf("bytes=%d", n), func(b *testing.B) {
			r := New(1<<20, 0)
			p := make([]byte, n)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				w, _ := r.Reserve(n, false)
				copy(w, p)
				if i%100 == 99 {
					r.Publish()
					for {
						if _, ok := r.Next(); !ok {
							break
						}
					}
					r.Release()
				}
			}
		})
	}
}

// BenchmarkTwoSides counts a record from Reserve on one goroutine to Release
// on another, 100 records a frame.
func BenchmarkTwoSides(b *testing.B) {
	for _, n := range []int{16, 130} {
		b.Run(fmt.Sprintf("bytes=%d", n), func(b *testing.B) {
			r := New(4<<20, 64<<10)
			p := make([]byte, n)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			done := make(chan struct{})
			go func() {
				defer close(done)
				for got := 0; got < b.N; {
					if _, ok := r.Next(); ok {
						got++
						continue
					}
					r.Release()
					runtime.Gosched()
				}
				r.Release()
			}()
			b.ResetTimer()
			for i := range b.N {
				for {
					w, ok := r.Reserve(n, false)
					if ok {
						copy(w, p)
						break
					}
					r.Publish()
					runtime.Gosched()
				}
				if i%100 == 99 {
					r.Publish()
				}
			}
			r.Publish()
			<-done
		})
	}
}
