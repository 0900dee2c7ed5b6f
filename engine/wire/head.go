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
	Blob     bool     // a map in it has the name $blob: see Blobs
	Agent    []byte   // aliases the event; empty = the link's agent
}

// Flags packs phase, severity, priority and Blob, which wants the others resolved, into the byte that the log
// keeps: phase | severity<<2 | p<<5. p is the priority; with Blob 5, 6, 7 for low, normal and high, and 0, which
// no event has otherwise, for critical.
func (h *Head) Flags() uint8 {
	p := uint8(h.Prio)
	if h.Blob {
		p = (p + 4) & 7
	}
	return uint8(h.Phase) | uint8(h.Severity)<<2 | p<<5
}

// HeadFromFlags unpacks what Flags packed; the other fields are zero.
func HeadFromFlags(f uint8) Head {
	h := Head{Phase: Phase(f & 3), Severity: Severity(f >> 2 & 7), Prio: Prio(f >> 5), Blob: FlagsBlob(f)}
	switch {
	case h.Prio > PrioCritical:
		h.Prio -= 4
	case h.Blob:
		h.Prio = PrioCritical
	}
	return h
}

// FlagsBlob returns Head.Blob of what Flags packed.
func FlagsBlob(f uint8) bool { return f>>5 > uint8(PrioCritical) || f>>5 == 0 && f>>2&7 != 0 }

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
