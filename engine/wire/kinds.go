package wire

// Type is what an event is about. The numbers are stored; they never change.
type Type uint8

// The types: run to span have a start and an end, the others are points in time.
const (
	TypeRun Type = 1 + iota
	TypeTask
	TypeLLM
	TypeTool
	TypeAsk
	TypeSpan
	TypeAgent
	TypeState
	TypeMessage
	TypeMetrics
	TypeLog
	TypeNote
	TypeBoard
)

var typeNames = [...]string{"", "run", "task", "llm", "tool", "ask", "span", "agent", "state", "message", "metrics", "log", "note", "board"}

// String returns the name on the wire, "" for no type.
func (t Type) String() string { return nameOf(typeNames[:], uint8(t)) }

// SpanLike reports whether events of the type have a start and an end.
func (t Type) SpanLike() bool { return t >= TypeRun && t <= TypeSpan }

// ParseType returns the type of that name.
func ParseType[S ~string | ~[]byte](s S) (Type, bool) {
	switch string(s) {
	case "run":
		return TypeRun, true
	case "task":
		return TypeTask, true
	case "llm":
		return TypeLLM, true
	case "tool":
		return TypeTool, true
	case "ask":
		return TypeAsk, true
	case "span":
		return TypeSpan, true
	case "agent":
		return TypeAgent, true
	case "state":
		return TypeState, true
	case "message":
		return TypeMessage, true
	case "metrics":
		return TypeMetrics, true
	case "log":
		return TypeLog, true
	case "note":
		return TypeNote, true
	case "board":
		return TypeBoard, true
	}
	return 0, false
}

// Phase tells which part of a span an event is. The zero value is the default.
type Phase uint8

// The phases; PhaseWhole is start and end in one.
const (
	PhaseWhole Phase = iota
	PhaseStart
	PhaseUpdate
	PhaseEnd
)

var phaseNames = [...]string{"whole", "start", "update", "end"}

// String returns the name on the wire.
func (p Phase) String() string { return nameOf(phaseNames[:], uint8(p)) }

// ParsePhase returns the phase of that name.
func ParsePhase[S ~string | ~[]byte](s S) (Phase, bool) {
	i, ok := indexOf(phaseNames[:], s)
	return Phase(i), ok
}

// Severity of an event, in rising order. Zero means not given, which counts as info.
type Severity uint8

// The severities.
const (
	SeverityDebug Severity = 1 + iota
	SeverityInfo
	SeverityWarn
	SeverityError
	SeverityFatal
)

var severityNames = [...]string{"", "debug", "info", "warn", "error", "fatal"}

// String returns the name on the wire, "" for none given.
func (s Severity) String() string { return nameOf(severityNames[:], uint8(s)) }

// ParseSeverity returns the severity of that name.
func ParseSeverity[S ~string | ~[]byte](s S) (Severity, bool) {
	i, ok := indexOf(severityNames[:], s)
	return Severity(i), ok && i > 0
}

// Prio decides admission under load, in rising order; never the order in the log. Zero means not given.
type Prio uint8

// The priorities. What is Critical and was read is never shed.
const (
	PrioLow Prio = 1 + iota
	PrioNormal
	PrioHigh
	PrioCritical
)

var prioNames = [...]string{"", "low", "normal", "high", "critical"}

// String returns the name on the wire, "" for none given.
func (p Prio) String() string { return nameOf(prioNames[:], uint8(p)) }

// ParsePrio returns the priority of that name.
func ParsePrio[S ~string | ~[]byte](s S) (Prio, bool) {
	i, ok := indexOf(prioNames[:], s)
	return Prio(i), ok && i > 0
}

// Status tells how a span ended. Zero means not given.
type Status uint8

// The statuses.
const (
	StatusOK Status = 1 + iota
	StatusError
	StatusDenied
	StatusCancelled
	StatusInterrupted
	StatusTimeout
	StatusUnknown
)

var statusNames = [...]string{"", "ok", "error", "denied", "cancelled", "interrupted", "timeout", "unknown"}

// String returns the name on the wire, "" for none given.
func (s Status) String() string { return nameOf(statusNames[:], uint8(s)) }

// ParseStatus returns the status of that name.
func ParseStatus[S ~string | ~[]byte](s S) (Status, bool) {
	i, ok := indexOf(statusNames[:], s)
	return Status(i), ok && i > 0
}

// Quality tells how far a usage figure can be trusted. Zero means not given.
type Quality uint8

// The qualities.
const (
	QualityExact Quality = 1 + iota
	QualityLowerBound
	QualityEstimated
)

var qualityNames = [...]string{"", "exact", "lower_bound", "estimated"}

// String returns the name on the wire, "" for none given.
func (q Quality) String() string { return nameOf(qualityNames[:], uint8(q)) }

// ParseQuality returns the quality of that name.
func ParseQuality[S ~string | ~[]byte](s S) (Quality, bool) {
	i, ok := indexOf(qualityNames[:], s)
	return Quality(i), ok && i > 0
}

var (
	stateNames  = [...]string{"starting", "running", "waiting", "idle", "paused", "done", "failed"}
	onNames     = [...]string{"person", "agent", "tool", "model", "quota"}
	tsFromNames = [...]string{"source", "estimated", "recv"}
)

func nameOf(names []string, i uint8) string {
	if int(i) < len(names) {
		return names[i]
	}
	return ""
}

func indexOf[S ~string | ~[]byte](names []string, s S) (int, bool) {
	for i, n := range names {
		if n == string(s) {
			return i, true
		}
	}
	return 0, false
}
