package stretch

import (
	"fmt"
	"syscall"
	"testing"

	"eyrie/wal/block"
)

func cpuNs(tb testing.TB) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return float64(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSeal is Add and Finish of a stretch of the mix, the digests included.
func BenchmarkSeal(b *testing.B) {
	for _, c := range []struct {
		frame int
		tiers string
		tier  func(*block.Record) uint8
	}{{100, "1", oneTier}, {100, "3", byClass}, {10, "1", oneTier}, {10, "3", byClass}, {1, "1", oneTier}, {1, "3", byClass}} {
		b.Run(fmt.Sprintf("frame=%d/tiers=%s", c.frame, c.tiers), func(b *testing.B) {
			blocks := figure(b, c.frame)
			w := NewWriter(c.tier)
			var size, pages int
			var index []byte
			var x *Index
			var cols [colEnd]int
			since := cpuNs(b)
			for b.Loop() {
				size, pages, cols = 0, 0, [colEnd]int{}
				w.Reset()
				for _, blk := range blocks {
					w.Add(blk)
				}
				var err error
				x, err = w.Finish(Stamp{}, func(_ *ChunkInfo, v []byte) error {
					size += len(v)
					for i, n := range sections(v) {
						cols[i] += n
					}
					return nil
				}, func(_ int, v []byte) error { pages += len(v); return nil })
				if err != nil {
					b.Fatal(err)
				}
				index = x.Append(index[:0])
			}
			n := float64(x.Count)
			b.ReportMetric((cpuNs(b)-since)/float64(b.N)/n, "cpu-ns/record")
			b.ReportMetric(float64(size+pages+len(index))/n, "B/record")
			b.ReportMetric(float64(pages+len(index))/n, "index-B/record")
			b.ReportMetric(float64(cols[colTemplates]+cols[colValues]+cols[colRest])/n, "payload-B/record")
			b.ReportMetric(float64(x.Bytes)/n, "raw-B/record")
			b.ReportMetric(float64(len(x.Chunks)), "chunks")
			for i, v := range cols {
				b.Logf("section %d: %.3f B/record", i+1, float64(v)/n)
			}
		})
	}
}

// sections returns the stored lengths of a chunk's sections.
func sections(value []byte) (n [colEnd]int) {
	r := reader{p: value[chunkFixed:]}
	for i := range n {
		head := r.bytes(5)
		n[i] = int(r.uint32())
		_ = head
		r.bytes(uint64(n[i]))
		n[i] += sectionHead
	}
	n[colValues] += len(r.p) - 4 // those alone
	return n
}

// BenchmarkDecode is DecodeChunk of the mix, one chunk after the other.
func BenchmarkDecode(b *testing.B) {
	for _, frame := range []int{100, 1} {
		b.Run(fmt.Sprintf("frame=%d", frame), func(b *testing.B) {
			w := NewWriter(oneTier)
			for _, blk := range figure(b, frame) {
				w.Add(blk)
			}
			var values [][]byte
			x, err := w.Finish(Stamp{}, func(_ *ChunkInfo, v []byte) error {
				values = append(values, append([]byte(nil), v...))
				return nil
			}, func(int, []byte) error { return nil })
			if err != nil {
				b.Fatal(err)
			}
			records := 0
			b.ReportAllocs()
			since := cpuNs(b)
			for i := 0; b.Loop(); i++ {
				p, err := DecodeChunk(&x.Chunks[i%len(values)], values[i%len(values)])
				if err != nil {
					b.Fatal(err)
				}
				records += p.Len()
			}
			b.ReportMetric((cpuNs(b)-since)/float64(records), "cpu-ns/record")
			b.ReportMetric(float64(records)/float64(b.N), "records/chunk")
		})
	}
}
