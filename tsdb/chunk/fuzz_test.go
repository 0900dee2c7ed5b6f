package chunk

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"testing"
)

// FuzzDecode feeds damaged bytes with a CRC that fits: no panic, and what
// decodes encodes to the same samples.
func FuzzDecode(f *testing.F) {
	for _, c := range golden() {
		f.Add(AppendChunk(nil, c.ts, c.vs))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		if len(b) >= minBytes {
			body := b[:len(b)-crcBytes]
			b = binary.LittleEndian.AppendUint32(append([]byte(nil), body...), crc32.Checksum(body, castagnoli))
		}
		ts, vs, err := Decode(b, nil, nil)
		if err != nil {
			if len(ts) != 0 || len(vs) != 0 {
				t.Fatal("samples beside an error")
			}
			return
		}
		gt, gv, err := Decode(AppendChunk(nil, ts, vs), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "again", gt, ts, gv, vs)
	})
}

// FuzzRoundTrip reads samples from the input, 16 bytes each.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("0123456789abcdef0123456789abcdef"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var ts []int64
		var vs []float64
		for ; len(b) >= 16 && len(ts) < 1000; b = b[16:] {
			ts = append(ts, int64(binary.LittleEndian.Uint64(b)))
			vs = append(vs, math.Float64frombits(binary.LittleEndian.Uint64(b[8:])))
		}
		gt, gv, err := Decode(AppendChunk(nil, ts, vs), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "chunk", gt, ts, gv, vs)
		if len(ts) == 0 {
			return
		}
		var s Stream
		var st []byte
		s.Start(ts[0], vs[0])
		for i := 1; i < len(ts); i++ {
			st = s.Push(st, ts[i], vs[i])
		}
		gt, gv, err = s.AppendSamples(st, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "stream", gt, ts, gv, vs)
	})
}

// FuzzStream restores from arbitrary bytes.
func FuzzStream(f *testing.F) {
	f.Add([]byte{0x81, 1, 1, 0, 5}, 2, int64(3), uint64(4))
	f.Fuzz(func(t *testing.T, b []byte, n int, at int64, v uint64) {
		if len(b) > 1<<12 || n > 1<<12 {
			return
		}
		var s Stream
		if _, err := s.Restore(b, n, at, v); err != nil {
			return
		}
		ts, _, err := s.AppendSamples(b, nil, nil)
		if err != nil || len(ts) != n {
			t.Fatalf("%d samples of %d: %v", len(ts), n, err)
		}
		s.Push(b, at+1, 7)
	})
}
