package wire

// Field names a top-level field of an event.
type Field uint8

// The fields. FUnknown stands for every other name; those are kept, not read.
const (
	FUnknown Field = iota
	FType
	FPhase
	FAgent
	FSession
	FRun
	FTask
	FSpan
	FParent
	FTo
	FTS
	FTSNs
	FStart
	FDurMs
	FTSFrom
	FSeverity
	FPrio
	FName
	FMsg
	FKind
	FStatus
	FError
	FInput
	FOutput
	FUsage
	FAttempt
	FStep
	FLinks
	FMetrics
	FCounters
	FDeltas
	FUnit
	FLabels
	FAttrs
	FState
	FOn
	FBy
	FRole
	FManager
	FHost
	FVersion
	FModel
	FHeartbeatMs
	FEnded
	FCapabilities
	fieldCount
)

var fieldNames = [fieldCount]string{
	"", "type", "phase", "agent", "session", "run", "task", "span", "parent", "to", "ts", "ts_ns", "start", "dur_ms",
	"ts_from", "severity", "prio", "name", "msg", "kind", "status", "error", "input", "output", "usage", "attempt",
	"step", "links", "metrics", "counters", "deltas", "unit", "labels", "attrs", "state", "on", "by", "role", "manager",
	"host", "version", "model", "heartbeat_ms", "ended", "capabilities",
}

// String returns the name on the wire.
func (f Field) String() string { return nameOf(fieldNames[:], uint8(f)) }

// FieldOf returns the field of that name, FUnknown for any other.
func FieldOf[S ~string | ~[]byte](name S) Field {
	switch string(name) {
	case "type":
		return FType
	case "phase":
		return FPhase
	case "agent":
		return FAgent
	case "session":
		return FSession
	case "run":
		return FRun
	case "task":
		return FTask
	case "span":
		return FSpan
	case "parent":
		return FParent
	case "to":
		return FTo
	case "ts":
		return FTS
	case "ts_ns":
		return FTSNs
	case "start":
		return FStart
	case "dur_ms":
		return FDurMs
	case "ts_from":
		return FTSFrom
	case "severity":
		return FSeverity
	case "prio":
		return FPrio
	case "name":
		return FName
	case "msg":
		return FMsg
	case "kind":
		return FKind
	case "status":
		return FStatus
	case "error":
		return FError
	case "input":
		return FInput
	case "output":
		return FOutput
	case "usage":
		return FUsage
	case "attempt":
		return FAttempt
	case "step":
		return FStep
	case "links":
		return FLinks
	case "metrics":
		return FMetrics
	case "counters":
		return FCounters
	case "deltas":
		return FDeltas
	case "unit":
		return FUnit
	case "labels":
		return FLabels
	case "attrs":
		return FAttrs
	case "state":
		return FState
	case "on":
		return FOn
	case "by":
		return FBy
	case "role":
		return FRole
	case "manager":
		return FManager
	case "host":
		return FHost
	case "version":
		return FVersion
	case "model":
		return FModel
	case "heartbeat_ms":
		return FHeartbeatMs
	case "ended":
		return FEnded
	case "capabilities":
		return FCapabilities
	}
	return FUnknown
}
