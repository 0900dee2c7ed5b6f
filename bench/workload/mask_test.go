package workload

import "testing"

// BenchmarkMask is what masking costs an event of the mix's mean size, as part of
// a frame of 100.
func BenchmarkMask(b *testing.B) {
	buf := make([]byte, 13_200)
	since := cpuNs(b)
	for b.Loop() {
		applyMask(buf, 0x9e3779b9)
	}
	perEvent(b, since, 100*b.N)
}
