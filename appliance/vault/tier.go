package vault

import (
	"eyrie/engine/wire"
	"eyrie/wal"
)

// Tiers of the sealed log, by what may go first.
const (
	TierTelemetry = iota // metrics, debug messages, what the next update replaces
	TierEvents           // what agents did and said
	TierKept             // errors, and all that eyrie itself records: sessions, losses, actions of operators
)

// Tier is a record's place in what retention drops.
func Tier(r *wal.Record) uint8 {
	if r.Kind == wal.KindTick {
		return TierTelemetry
	}
	if r.Kind != wal.KindEvent && r.Kind != wal.KindForgotten {
		return TierKept
	}
	h := wire.HeadFromFlags(r.Flags)
	switch {
	case h.Severity >= wire.SeverityError:
		return TierKept
	case wire.Type(r.Class) == wire.TypeMetrics, h.Severity == wire.SeverityDebug, h.Phase == wire.PhaseUpdate:
		return TierTelemetry
	}
	return TierEvents
}
