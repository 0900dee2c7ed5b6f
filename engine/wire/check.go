package wire

import (
	"math"
	"unicode/utf8"
)

// rule is what a field's value must be.
type rule uint8

const (
	rText rule = iota
	rID
	rType
	rPhase
	rSeverity
	rPrio
	rStatus
	rTSFrom
	rOn // up to here strings
	rInstantMs
	rInstantNs
	rSpanMs
	rCount
	rBool
	rTo
	rError
	rUsage
	rLinks
	rNumbers
	rUnit
	rLabels
	rMap
	rState
	rAny
)

var fieldRules = [fieldCount]rule{
	FType: rType, FPhase: rPhase, FAgent: rID, FSession: rID, FRun: rID, FTask: rID, FSpan: rID, FParent: rID, FTo: rTo,
	FTS: rInstantMs, FTSNs: rInstantNs, FStart: rInstantMs, FDurMs: rSpanMs, FTSFrom: rTSFrom, FSeverity: rSeverity,
	FPrio: rPrio, FName: rText, FMsg: rText, FKind: rText, FStatus: rStatus, FError: rError, FInput: rAny, FOutput: rAny,
	FUsage: rUsage, FAttempt: rCount, FStep: rCount, FLinks: rLinks, FMetrics: rNumbers, FCounters: rNumbers,
	FDeltas: rNumbers, FUnit: rUnit, FLabels: rLabels, FAttrs: rMap, FState: rState, FOn: rOn, FBy: rText, FRole: rText,
	FManager: rID, FHost: rText, FVersion: rText, FModel: rText, FHeartbeatMs: rSpanMs, FEnded: rBool, FCapabilities: rAny,
}

// checkEvent judges the event at b[at] in one pass and fills h. It returns the index behind it.
//
// Known fields have the types that PROTOCOL names and come at most once; nil counts as absent. Names in metrics,
// counters, deltas and labels come at most once. All other names are kept as sent, also twice: then the last
// counts. Every key is a string and every string UTF-8, at any depth; extension types are refused.
func checkEvent(b []byte, at int, h *Head) (int, *fault) {
	*h = Head{}
	k, n, i := token(b, at)
	if k != kMap {
		if k == kBad {
			return at, &fault{code: CodeSyntax, at: at, want: "truncated MessagePack"}
		}
		return at, &fault{code: CodeType, at: at, want: "wants a map"}
	}
	var seen uint64
	var run []byte
	var tsMs int64
	numbers := 0
	var ft *fault
	for ; n > 0; n-- {
		keyAt := i
		k, kn, next := token(b, i)
		if k != kStr {
			return i, badKey(k, i)
		}
		i = next + kn
		f := FieldOf(b[next:i])
		if f == FUnknown {
			if !utf8.Valid(b[next:i]) {
				return keyAt, &fault{code: CodeUTF8, at: keyAt, want: "a name that is not UTF-8"}
			}
			if i, ft = checkAny(b, i, 1, &h.Blob); ft.bad() {
				return i, ft
			}
			continue
		}
		if seen&(1<<f) != 0 {
			return keyAt, &fault{code: CodeDuplicate, at: i, want: "given twice"}
		}
		seen |= 1 << f
		if i < len(b) && b[i] == 0xc0 { // nil is absent
			seen &^= 1 << f
			i++
			continue
		}
		r := fieldRules[f]
		if r > rOn {
			switch r {
			case rInstantMs:
				var ns int64
				if ns, i, ft = checkInstantMs(b, i); f == FTS {
					tsMs = ns
				}
			case rInstantNs:
				h.TS, i, ft = checkInstantNs(b, i)
			case rNumbers:
				i, numbers, ft = checkNumbers(b, i, numbers)
			case rAny:
				i, ft = checkAny(b, i, 1, &h.Blob)
			case rMap:
				i, ft = checkMapAny(b, i, &h.Blob)
			default:
				i, ft = checkComposite(b, i, r)
			}
			if ft.bad() {
				return i, ft
			}
			continue
		}
		valueAt := i
		k, sn, next := token(b, i)
		if k != kStr {
			return i, wrong(k, i, "wants a string")
		}
		i = next + sn
		s := b[next:i]
		ok := true
		switch r {
		case rText, rID:
			if r == rID && sn > MaxID {
				return i, &fault{code: CodeSize, at: valueAt, want: "an id has at most 128 bytes"}
			}
			if !utf8.Valid(s) {
				return i, notUTF8(valueAt)
			}
			switch f {
			case FAgent:
				h.Agent = s
			case FRun:
				run = s
			}
		case rType:
			h.Type, ok = ParseType(s)
		case rPhase:
			h.Phase, ok = ParsePhase(s)
		case rSeverity:
			h.Severity, ok = ParseSeverity(s)
		case rPrio:
			h.Prio, ok = ParsePrio(s)
		case rStatus:
			_, ok = ParseStatus(s)
		case rTSFrom:
			_, ok = indexOf(tsFromNames[:], s)
		case rOn:
			_, ok = indexOf(onNames[:], s)
		}
		if !ok {
			return i, notOneOf(valueAt, r)
		}
	}
	return i, h.settle(at, seen, tsMs, run)
}

// settle judges what the fields of the event at b[at] demand of each other, and resolves what was not given.
func (h *Head) settle(at int, seen uint64, tsMs int64, run []byte) *fault {
	if h.Type == 0 {
		return &fault{code: CodeMissing, at: at, want: "an event needs a type", name: "type"}
	}
	if h.Phase != PhaseWhole {
		if !h.Type.SpanLike() {
			return &fault{code: CodeEnum, at: at, want: "only run, task, llm, tool, ask and span have phases", name: "phase"}
		}
		if seen&(1<<FSpan) == 0 && !(h.Type == TypeRun && seen&(1<<FRun) != 0) && !(h.Type == TypeTask && seen&(1<<FTask) != 0) {
			return &fault{code: CodeMissing, at: at, want: "start, update and end need the span that they belong to", name: "span"}
		}
	}
	if h.TS == 0 {
		h.TS = tsMs
	}
	if h.Severity == 0 {
		h.Severity = SeverityInfo
	}
	if h.Prio == 0 {
		h.Prio = DefaultPrio(h.Type, h.Phase, h.Severity)
	}
	h.Key = RunKey(run)
	return nil
}

func badKey(k kind, at int) *fault {
	if k == kBad {
		return &fault{code: CodeSyntax, at: at, want: "truncated MessagePack"}
	}
	return &fault{code: CodeType, at: at, want: "names are strings"}
}

func wrong(k kind, at int, want string) *fault {
	if k == kBad {
		return &fault{code: CodeSyntax, at: at, want: "truncated MessagePack"}
	}
	return &fault{code: CodeType, at: at, want: want}
}

func notUTF8(at int) *fault { return &fault{code: CodeUTF8, at: at, want: "text that is not UTF-8"} }

func notOneOf(at int, r rule) *fault {
	f := &fault{code: CodeEnum, at: at}
	switch r {
	case rType:
		f.want = "wants run, task, llm, tool, ask, span, agent, state, message, metrics, log, note or board"
	case rPhase:
		f.want = "wants start, update, end or whole"
	case rSeverity:
		f.want = "wants debug, info, warn, error or fatal"
	case rPrio:
		f.want = "wants low, normal, high or critical"
	case rStatus:
		f.want = "wants ok, error, denied, cancelled, interrupted, timeout or unknown"
	case rTSFrom:
		f.want = "wants source, estimated or recv"
	case rOn:
		f.want = "wants person, agent, tool, model or quota"
	case rState:
		f.want = "wants starting, running, waiting, idle, paused, done or failed"
	case rUsage:
		f.want = "wants exact, lower_bound or estimated"
	}
	return f
}

// checkMapAny judges a map of anything.
func checkMapAny(b []byte, i int, blob *bool) (int, *fault) {
	if k, _, _ := token(b, i); k != kMap {
		return i, wrong(k, i, "wants a map")
	}
	return checkAny(b, i, 1, blob)
}

// checkAny judges a value of any shape that lies inside depth containers. It sets blob where a map has that name.
func checkAny(b []byte, i, depth int, blob *bool) (int, *fault) {
	var left [MaxDepth + 1]uint64
	var maps uint32 // bit sp: level sp is a map
	sp := 0
	for {
		k, n, next := token(b, i)
		key := maps>>sp&1 == 1 && left[sp]&1 == 0
		if key && k != kStr {
			return i, badKey(k, i)
		}
		switch k {
		case kBad:
			return i, &fault{code: CodeSyntax, at: i, want: "truncated MessagePack"}
		case kExt:
			return i, &fault{code: CodeType, at: i, want: "extension types are not part of the protocol"}
		case kStr:
			if !utf8.Valid(b[next : next+n]) {
				return i, notUTF8(i)
			}
			if n == len(blobName) && key && string(b[next:next+n]) == blobName {
				*blob = true
			}
			i = next + n
		case kBin:
			i = next + n
		case kArray, kMap:
			if depth+sp >= MaxDepth {
				return i, &fault{code: CodeDepth, at: i, want: "nested deeper than 16"}
			}
			i = next
			if n > 0 {
				sp++
				left[sp] = uint64(n)
				maps &^= 1 << sp
				if k == kMap {
					left[sp] *= 2
					maps |= 1 << sp
				}
				continue
			}
		default:
			i = next
		}
		for ; sp > 0; sp-- {
			if left[sp]--; left[sp] > 0 {
				break
			}
		}
		if sp == 0 {
			return i, nil
		}
	}
}

// checkInstantMs judges Unix milliseconds and returns them in nanoseconds.
func checkInstantMs(b []byte, i int) (ns int64, next int, ft *fault) {
	k, _, next := token(b, i)
	switch k {
	case kInt:
		v, big, _ := readInt(b, i)
		if big || v < 0 || v > maxUnixMs {
			return 0, i, outOfTime(i)
		}
		return v * 1e6, next, nil
	case kFloat:
		f, _ := readFloat(b, i)
		if !(f >= 0 && f <= maxUnixMs) {
			return 0, i, outOfTime(i)
		}
		return msToNs(f), next, nil
	}
	return 0, i, wrong(k, i, "wants Unix milliseconds as a number")
}

// checkInstantNs judges Unix nanoseconds, an integer or its decimal digits in a string.
func checkInstantNs(b []byte, i int) (ns int64, next int, ft *fault) {
	k, n, next := token(b, i)
	switch k {
	case kInt:
		v, big, _ := readInt(b, i)
		if big || v < 0 || v > maxUnixNs {
			return 0, i, outOfTime(i)
		}
		return v, next, nil
	case kStr:
		v, ok := parseDecimal(b[next : next+n])
		if !ok {
			if n > 1 && b[next] == '-' {
				if _, ok := parseDecimal(b[next+1 : next+n]); ok {
					return 0, i, outOfTime(i)
				}
			}
			return 0, i, &fault{code: CodeType, at: i, want: "wants Unix nanoseconds in decimal digits"}
		}
		if v > maxUnixNs {
			return 0, i, outOfTime(i)
		}
		return int64(v), next + n, nil
	}
	return 0, i, wrong(k, i, "wants Unix nanoseconds, an integer or a string of digits")
}

func outOfTime(at int) *fault {
	return &fault{code: CodeRange, at: at, want: "an instant lies between 1970 and 2100"}
}

// parseDecimal reads digits only; what is beyond uint64 comes back as its largest value.
func parseDecimal(s []byte) (v uint64, ok bool) {
	if len(s) == 0 {
		return 0, false
	}
	over := false
	for _, c := range s {
		if c -= '0'; c > 9 {
			return 0, false
		}
		over = over || v > (math.MaxUint64-9)/10
		v = v*10 + uint64(c)
	}
	if over {
		v = math.MaxUint64
	}
	return v, true
}

// msToNs converts without losing the fraction that a float64 of today's date holds.
func msToNs(ms float64) int64 {
	whole, frac := math.Modf(ms)
	return int64(whole)*1e6 + int64(math.Round(frac*1e6))
}

// checkNumbers judges {name: number}; used is what the event's other number maps hold already.
func checkNumbers(b []byte, i, used int) (next, total int, ft *fault) {
	at := i
	k, n, i := token(b, i)
	if k != kMap {
		return i, 0, wrong(k, at, "wants a map of numbers")
	}
	if total = used + n; total > MaxMetrics {
		return at, total, &fault{code: CodeSize, at: at, want: "an event has at most 64 metrics, counters and deltas"}
	}
	var names [MaxMetrics][2]uint32
	for j := range n {
		keyAt := i
		k, kn, next := token(b, i)
		if k != kStr {
			return i, total, badKey(k, i)
		}
		i = next + kn
		if ft = checkName(b, keyAt, next, i, names[:j]); ft.bad() {
			return i, total, ft
		}
		names[j] = [2]uint32{uint32(next), uint32(i)}
		k, _, next = token(b, i)
		if k != kInt && k != kFloat {
			return i, total, wrong(k, i, "wants a number")
		}
		i = next
	}
	return i, total, nil
}

// checkName judges the name b[from:to] of a metric or label against those before it.
func checkName(b []byte, keyAt, from, to int, before [][2]uint32) *fault {
	name := b[from:to]
	if len(name) == 0 || len(name) > MaxName {
		return &fault{code: CodeSize, at: keyAt, want: "a name has 1 to 256 bytes"}
	}
	if !utf8.Valid(name) {
		return &fault{code: CodeUTF8, at: keyAt, want: "a name that is not UTF-8"}
	}
	for _, o := range before {
		if int(o[1]-o[0]) == len(name) && string(b[o[0]:o[1]]) == string(name) {
			return &fault{code: CodeDuplicate, at: keyAt, want: "given twice"}
		}
	}
	return nil
}
