//go:build linux

package engine

import (
	"encoding/binary"
	"net/netip"

	"eyrie/engine/wire"
)

// HelloItem is what a link's ItemHello carries: who speaks, and for whom.
type HelloItem struct {
	Space    string
	Owner    string // id of the key
	Producer [16]byte
	Epoch    uint64
	First    uint64 // lowest number the producer still holds; 0 = not said
	Now      int64  // the producer's clock, unix ns, 0 = not said
	Agent    string // the link's default agent id; may be empty
	Declare  []byte // MessagePack map of hello.agent, an "agent" event's payload; empty = none
	Shed     uint8  // bit 1<<wire.Prio: classes that may be shed, never CRITICAL
	Codec    wire.Codec
	Remote   netip.AddrPort
	Listener int
}

// AppendHello appends h in the form that DecodeHello reads.
func AppendHello(dst []byte, h *HelloItem) []byte {
	dst = append(dst, h.Producer[:]...)
	dst = append(dst, byte(h.Codec), byte(h.Listener), h.Shed)
	dst = binary.LittleEndian.AppendUint64(dst, h.Epoch)
	dst = binary.LittleEndian.AppendUint64(dst, h.First)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.Now))
	a := h.Remote.Addr().As16()
	dst = append(dst, a[:]...)
	dst = binary.LittleEndian.AppendUint16(dst, h.Remote.Port())
	dst = appendString(dst, h.Space)
	dst = appendString(dst, h.Owner)
	dst = appendString(dst, h.Agent)
	return append(dst, h.Declare...)
}

// helloFixed is the length of the part of fixed size.
const helloFixed = 16 + 3 + 8 + 8 + 8 + 16 + 2

// DecodeHello reads the payload of an ItemHello. Strings are copied, Declare
// aliases p.
func DecodeHello(p []byte, h *HelloItem) error {
	if len(p) < helloFixed {
		return ErrItem
	}
	copy(h.Producer[:], p)
	h.Codec, h.Listener, h.Shed = wire.Codec(p[16]), int(p[17]), p[18]
	h.Epoch = binary.LittleEndian.Uint64(p[19:])
	h.First = binary.LittleEndian.Uint64(p[27:])
	h.Now = int64(binary.LittleEndian.Uint64(p[35:]))
	addr := netip.AddrFrom16([16]byte(p[43:59])).Unmap()
	h.Remote = netip.AddrPortFrom(addr, binary.LittleEndian.Uint16(p[59:]))
	p = p[helloFixed:]
	var ok [3]bool
	h.Space, p, ok[0] = cutString(p)
	h.Owner, p, ok[1] = cutString(p)
	h.Agent, p, ok[2] = cutString(p)
	if !ok[0] || !ok[1] || !ok[2] {
		return ErrItem
	}
	h.Declare = p
	return nil
}

// appendString appends a length (u16) and the bytes; longer strings are cut.
func appendString(dst []byte, s string) []byte {
	if len(s) > 1<<16-1 {
		s = s[:1<<16-1]
	}
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(s)))
	return append(dst, s...)
}

func cutString(p []byte) (s string, rest []byte, ok bool) {
	if len(p) < 2 {
		return "", nil, false
	}
	n := int(binary.LittleEndian.Uint16(p))
	if len(p) < 2+n {
		return "", nil, false
	}
	return string(p[2 : 2+n]), p[2+n:], true
}
