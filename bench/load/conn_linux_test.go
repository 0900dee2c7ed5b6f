package load

import (
	"testing"

	"eyrie/engine/wire"
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
