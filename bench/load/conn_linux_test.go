package load

import (
	"bytes"
	"testing"

	"eyrie/engine/wire"

	"github.com/gobwas/ws"
)

// The quick reading of acks agrees with the protocol's own for every length of
// number, and leaves everything else to it.
func TestPackedAck(t *testing.T) {
	for _, seq := range []uint64{0, 1, 127, 128, 255, 256, 65535, 65536, 1<<32 - 1, 1 << 32, wire.MaxSeq} {
		b := wire.AppendAck(nil, wire.MsgPack, seq)
		got, ok := packedAck(b)
		if !ok || got != seq {
			t.Errorf("ack of %d read as %d, %v", seq, got, ok)
		}
		if _, ok := packedAck(b[:len(b)-1]); ok {
			t.Errorf("a cut ack of %d was read", seq)
		}
	}
	if _, ok := packedAck(wire.AppendNack(nil, wire.MsgPack, 1, 2, "gap", "seq", "x")); ok {
		t.Error("a nack was read as an ack")
	}
}

func TestServerFrame(t *testing.T) {
	for _, n := range []int{0, 5, 125, 126, 65535, 65536} {
		p := bytes.Repeat([]byte{7}, n)
		b := ws.MustCompileFrame(ws.NewBinaryFrame(p))
		op, got, used := serverFrame(append(b, "next"...))
		if op != ws.OpBinary || !bytes.Equal(got, p) || used != len(b) {
			t.Errorf("%d bytes: op %v, %d bytes, %d used", n, op, len(got), used)
		}
		for cut := range min(len(b), 12) {
			if _, _, used := serverFrame(b[:cut]); used != 0 {
				t.Errorf("%d bytes cut to %d were read", n, cut)
			}
		}
	}
}
