package vault

import (
	"testing"

	"eyrie/engine/wire"
	"eyrie/wal"
)

func TestTier(t *testing.T) {
	event := func(typ wire.Type, h wire.Head) *wal.Record {
		return &wal.Record{Kind: wal.KindEvent, Class: uint8(typ), Flags: h.Flags()}
	}
	for name, c := range map[string]struct {
		r    *wal.Record
		want uint8
	}{
		"metrics":              {event(wire.TypeMetrics, wire.Head{}), TierTelemetry},
		"a debug message":      {event(wire.TypeLog, wire.Head{Severity: wire.SeverityDebug}), TierTelemetry},
		"an update":            {event(wire.TypeTool, wire.Head{Phase: wire.PhaseUpdate}), TierTelemetry},
		"a tick":               {&wal.Record{Kind: wal.KindTick}, TierTelemetry},
		"a message":            {event(wire.TypeMessage, wire.Head{Severity: wire.SeverityInfo}), TierEvents},
		"a tool's end":         {event(wire.TypeTool, wire.Head{Phase: wire.PhaseEnd}), TierEvents},
		"an error":             {event(wire.TypeTool, wire.Head{Phase: wire.PhaseEnd, Severity: wire.SeverityError}), TierKept},
		"a metric that failed": {event(wire.TypeMetrics, wire.Head{Severity: wire.SeverityFatal}), TierKept},
		"a session":            {&wal.Record{Kind: wal.KindFence}, TierKept},
		"an operator's action": {&wal.Record{Kind: wal.KindSystem}, TierKept},
	} {
		if got := Tier(c.r); got != c.want {
			t.Errorf("%s: tier %d, want %d", name, got, c.want)
		}
	}
}
