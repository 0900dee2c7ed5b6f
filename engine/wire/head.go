package wire

import "github.com/cespare/xxhash/v2"

// Head is what admission, log and look-up need of an event.
type Head struct {
	Type     Type
	Phase    Phase
	Severity Severity // resolved: info when none was given
	Prio     Prio     // resolved by DefaultPrio when none was given
	TS       int64    // Unix nanoseconds of ts_ns or ts; 0 = none given
	Key      uint32   // RunKey of the run id; 0 = no run
	Agent    []byte   // aliases the event; empty = the link's agent
}

// Flags packs phase, severity and priority into the byte that the log keeps: phase | severity<<2 | prio<<5.
func (h *Head) Flags() uint8 {
	return uint8(h.Phase) | uint8(h.Severity)<<2 | uint8(h.Prio)<<5
}

// HeadFromFlags unpacks what Flags packed; the other fields are zero.
func HeadFromFlags(f uint8) Head {
	return Head{Phase: Phase(f & 3), Severity: Severity(f >> 2 & 7), Prio: Prio(f >> 5)}
}

// RunKey is the look-up key of a run id: the low 32 bits of its xxhash64, 1 where those are zero, 0 for no id.
func RunKey(run []byte) uint32 {
	if len(run) == 0 {
		return 0
	}
	k := uint32(xxhash.Sum64(run))
	if k == 0 {
		return 1
	}
	return k
}
