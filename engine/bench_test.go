//go:build linux

package engine

import (
	"fmt"
	"testing"

	"eyrie/engine/wire"
)

// BenchmarkRead is a frame from the read buffer into the ring and out again.
func BenchmarkRead(b *testing.B) {
	for _, codec := range []wire.Codec{wire.MsgPack, wire.JSON, wire.Proto} {
		for _, each := range []int{1, 100} {
			b.Run(fmt.Sprintf("codec=%s/events=%d", codec, each), func(b *testing.B) {
				r := newRig(b, nil)
				c := r.open("good", codec.Subprotocol())
				r.feed(c, frameOf(codec, helloMessage(codec, "agent-1")))
				r.items()
				var ps [][]byte
				for i := range each {
					ps = append(ps, event("type", "tool", "phase", "end", "name", "grep", "span", fmt.Sprint("span-", i),
						"run", "run-1", "ts_ns", int64(1700000000000000000+i), "status", "ok", "dur_ms", 12.5))
				}
				f := frameOf(codec, wire.AppendEvents(nil, codec, 1, nil, ps...))
				work := make([]byte, len(f))
				b.SetBytes(int64(len(f)))
				b.ReportAllocs()
				for b.Loop() {
					copy(work, f)
					if n := r.l.Read(c.h, work); n != len(f) {
						b.Fatal(n)
					}
					for {
						if _, ok := r.l.ring.Next(); !ok {
							break
						}
					}
					r.l.ring.Release()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*each), "ns/event")
				b.ReportMetric(float64(len(f))/float64(each), "B/event")
			})
		}
	}
}
