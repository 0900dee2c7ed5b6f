package wire

import (
	"math"
	"slices"
)

// Event is the convenient form of an event for clients, tests and folds off the hot path. Zero values are absent;
// pointers and any stand where zero or nil would mean something. Input, Output, Attrs, Capabilities, Cause and Extra
// hold what AppendValue takes; DecodeEvent fills them as ReadValue returns them.
type Event struct {
	Type     Type
	Phase    Phase
	Severity Severity
	Prio     Prio

	Agent, Session, Run, Task, Span, Parent string
	To                                      []string

	TS     int64    // Unix ns; written as ts when it is whole milliseconds, else as ts_ns
	Start  int64    // Unix ns; whole milliseconds are exact, others lose up to 250 ns
	DurMs  *float64 // milliseconds
	TSFrom string   // source, estimated, recv

	Name, Msg, Kind string
	Status          Status
	Error           *Error
	Input, Output   any
	Usage           *Usage
	Attempt, Step   int64
	Links           []Link

	Metrics, Counters, Deltas map[string]float64
	Unit                      any // string or map[string]string
	Labels                    map[string]string
	Attrs                     map[string]any
	State                     *State

	// What an `agent` event declares.
	Role, Manager, Host, Version, Model string
	HeartbeatMs                         float64
	Ended                               bool
	Capabilities                        any

	// Extra holds fields that the protocol does not name, x_ names among them.
	Extra map[string]any
}

// Error tells why a span failed.
type Error struct {
	Code, Msg string
	Retryable *bool
	Cause     any
}

// State is what an agent is said to be doing.
type State struct {
	State string // starting, running, waiting, idle, paused, done, failed
	On    string // person, agent, tool, model, quota
	By    string
}

// Link points to another span.
type Link struct {
	Span string
	Kind string // retry, handoff, answers, continues
}

// AppendMsgpack appends the event's payload. The same event always gives the same bytes.
func (e *Event) AppendMsgpack(dst []byte) []byte {
	w := mapWriter{b: dst, header: len(dst)}
	w.b = append(w.b, 0x80)
	w.text(FType, e.Type.String())
	if e.Phase != PhaseWhole {
		w.text(FPhase, e.Phase.String())
	}
	w.text(FAgent, e.Agent)
	w.text(FSession, e.Session)
	w.text(FRun, e.Run)
	w.text(FTask, e.Task)
	w.text(FSpan, e.Span)
	w.text(FParent, e.Parent)
	switch len(e.To) {
	case 0:
	case 1:
		w.text(FTo, e.To[0])
	default:
		w.name(FTo)
		w.b = AppendArrayHeader(w.b, len(e.To))
		for _, id := range e.To {
			w.b = AppendStr(w.b, id)
		}
	}
	switch {
	case e.TS == 0:
	case e.TS%1e6 == 0:
		w.name(FTS)
		w.b = AppendInt(w.b, e.TS/1e6)
	default:
		w.name(FTSNs)
		w.b = AppendInt(w.b, e.TS)
	}
	if e.Start != 0 {
		w.name(FStart)
		w.b = appendMs(w.b, e.Start)
	}
	if e.DurMs != nil {
		w.name(FDurMs)
		w.b = AppendNumber(w.b, *e.DurMs)
	}
	w.text(FTSFrom, e.TSFrom)
	w.text(FSeverity, e.Severity.String())
	w.text(FPrio, e.Prio.String())
	w.text(FName, e.Name)
	w.text(FMsg, e.Msg)
	w.text(FKind, e.Kind)
	w.text(FStatus, e.Status.String())
	e.appendParts(&w)
	for _, k := range sortedKeys(e.Extra) {
		if FieldOf(k) == FUnknown {
			w.n++
			w.b = AppendValue(AppendStr(w.b, k), e.Extra[k])
		}
	}
	return closeContainer(w.b, w.header, w.n, 0x80)
}

func (e *Event) appendParts(w *mapWriter) {
	if e.Error != nil {
		w.name(FError)
		w.b = e.Error.append(w.b)
	}
	w.value(FInput, e.Input)
	w.value(FOutput, e.Output)
	if e.Usage != nil {
		w.name(FUsage)
		w.b = e.Usage.append(w.b)
	}
	w.count(FAttempt, e.Attempt)
	w.count(FStep, e.Step)
	if len(e.Links) > 0 {
		w.name(FLinks)
		w.b = AppendArrayHeader(w.b, len(e.Links))
		for _, l := range e.Links {
			w.b = l.append(w.b)
		}
	}
	w.numbers(FMetrics, e.Metrics)
	w.numbers(FCounters, e.Counters)
	w.numbers(FDeltas, e.Deltas)
	w.value(FUnit, e.Unit)
	if len(e.Labels) > 0 {
		w.value(FLabels, e.Labels)
	}
	if len(e.Attrs) > 0 {
		w.value(FAttrs, e.Attrs)
	}
	if s := e.State; s != nil {
		w.name(FState)
		w.b = s.append(w.b)
	}
	w.text(FRole, e.Role)
	w.text(FManager, e.Manager)
	w.text(FHost, e.Host)
	w.text(FVersion, e.Version)
	w.text(FModel, e.Model)
	if e.HeartbeatMs != 0 {
		w.name(FHeartbeatMs)
		w.b = AppendNumber(w.b, e.HeartbeatMs)
	}
	if e.Ended {
		w.name(FEnded)
		w.b = AppendBool(w.b, true)
	}
	w.value(FCapabilities, e.Capabilities)
}

// AppendJSON appends the event as a JSON object.
func (e *Event) AppendJSON(dst []byte) []byte {
	out, err := AppendEventJSON(dst, e.AppendMsgpack(nil))
	if err != nil {
		panic("wire: an event that AppendMsgpack wrote does not print: " + err.Error())
	}
	return out
}

// Check tells whether the server would take the event; nil when it would.
func (e *Event) Check() *FieldError {
	_, err := CheckPayload(e.AppendMsgpack(nil))
	return err
}

// CheckPayload judges one stored payload as the server judges events.
func CheckPayload(payload []byte) (Head, *FieldError) {
	var h Head
	end, ft := checkEvent(payload, 0, &h)
	switch {
	case ft.bad():
		return h, packFault("", payload, 0, ft)
	case end != len(payload):
		return h, &FieldError{Code: CodeSyntax, Msg: "more after the event"}
	case end > MaxEvent:
		return h, &FieldError{Code: CodeSize, Msg: "an event has at most 262144 bytes of MessagePack"}
	}
	return h, nil
}

// mapWriter appends a map whose number of pairs is known at the end.
type mapWriter struct {
	b         []byte
	header, n int
}

func (w *mapWriter) name(f Field) {
	w.n++
	w.b = AppendStr(w.b, fieldNames[f])
}

func (w *mapWriter) text(f Field, s string) {
	if s != "" {
		w.name(f)
		w.b = AppendStr(w.b, valid(s))
	}
}

func (w *mapWriter) count(f Field, x int64) {
	if x != 0 {
		w.name(f)
		w.b = AppendInt(w.b, x)
	}
}

func (w *mapWriter) value(f Field, v any) {
	if v != nil {
		w.name(f)
		w.b = AppendValue(w.b, v)
	}
}

func (w *mapWriter) numbers(f Field, m map[string]float64) {
	if len(m) > 0 {
		w.name(f)
		w.b = AppendMapHeader(w.b, len(m))
		for _, k := range sortedKeys(m) {
			w.b = AppendNumber(AppendStr(w.b, valid(k)), m[k])
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func appendMs(dst []byte, ns int64) []byte {
	if ns%1e6 == 0 {
		return AppendInt(dst, ns/1e6)
	}
	return AppendFloat(dst, float64(ns/1e6)+float64(ns%1e6)/1e6)
}

func (e *Error) append(dst []byte) []byte {
	m := map[string]any{}
	if e.Code != "" {
		m["code"] = e.Code
	}
	if e.Msg != "" {
		m["msg"] = e.Msg
	}
	if e.Retryable != nil {
		m["retryable"] = *e.Retryable
	}
	if e.Cause != nil {
		m["cause"] = e.Cause
	}
	return AppendValue(dst, m)
}

func (s *State) append(dst []byte) []byte {
	if s.On == "" && s.By == "" {
		return AppendStr(dst, valid(s.State))
	}
	m := map[string]string{"state": s.State}
	if s.On != "" {
		m["on"] = s.On
	}
	if s.By != "" {
		m["by"] = s.By
	}
	return AppendValue(dst, m)
}

func (l *Link) append(dst []byte) []byte {
	m := map[string]string{"span": l.Span}
	if l.Kind != "" {
		m["kind"] = l.Kind
	}
	return AppendValue(dst, m)
}

// DecodeEvent fills e from a payload. It takes what checkEvent takes; values of other types are left out.
func DecodeEvent(payload []byte, e *Event) error {
	var v View
	if err := v.Reset(payload); err != nil {
		return err
	}
	*e = Event{Type: v.Type(), Phase: v.Phase(), Status: v.Status(), TS: v.TS(), Start: v.Start(), Ended: v.Bool(FEnded)}
	e.Severity, _ = ParseSeverity(v.Str(FSeverity))
	e.Prio, _ = ParsePrio(v.Str(FPrio))
	for f, p := range map[Field]*string{
		FAgent: &e.Agent, FSession: &e.Session, FRun: &e.Run, FTask: &e.Task, FSpan: &e.Span, FParent: &e.Parent,
		FTSFrom: &e.TSFrom, FName: &e.Name, FMsg: &e.Msg, FKind: &e.Kind, FRole: &e.Role, FManager: &e.Manager,
		FHost: &e.Host, FVersion: &e.Version, FModel: &e.Model,
	} {
		*p = string(v.Str(f))
	}
	v.To(func(id []byte) { e.To = append(e.To, string(id)) })
	if x, ok := v.Float(FDurMs); ok && !math.IsNaN(x) {
		e.DurMs = &x
	}
	e.HeartbeatMs, _ = v.Float(FHeartbeatMs)
	e.Attempt, _ = v.Int(FAttempt)
	e.Step, _ = v.Int(FStep)
	return e.decodeParts(&v)
}

func (e *Event) decodeParts(v *View) error {
	if code, msg, ok := v.Error(); ok {
		e.Error = &Error{Code: string(code), Msg: string(msg)}
		eachPair(v.b, int(v.pos[FError]), func(name []byte, at int) {
			switch string(name) {
			case "retryable":
				yes := v.b[at] == 0xc3
				if yes || v.b[at] == 0xc2 {
					e.Error.Retryable = &yes
				}
			case "cause":
				e.Error.Cause, _, _ = readAny(v.b, at, 0)
			}
		})
	}
	if u, ok := v.Usage(); ok {
		e.Usage = &u
	}
	v.Links(func(span, kind []byte) { e.Links = append(e.Links, Link{string(span), string(kind)}) })
	for f, p := range map[Field]*map[string]float64{FMetrics: &e.Metrics, FCounters: &e.Counters, FDeltas: &e.Deltas} {
		v.Numbers(f, func(name []byte, x float64) {
			if *p == nil {
				*p = map[string]float64{}
			}
			(*p)[string(name)] = x
		})
	}
	v.Strings(FLabels, func(k, val []byte) {
		if e.Labels == nil {
			e.Labels = map[string]string{}
		}
		e.Labels[string(k)] = string(val)
	})
	if state, on, by, ok := v.State(); ok {
		e.State = &State{string(state), string(on), string(by)}
	}
	for f, p := range map[Field]*any{FInput: &e.Input, FOutput: &e.Output, FUnit: &e.Unit, FCapabilities: &e.Capabilities} {
		if v.Has(f) {
			*p, _, _ = readAny(v.b, int(v.pos[f]), 0)
		}
	}
	if v.Has(FAttrs) {
		attrs, _, _ := readAny(v.b, int(v.pos[FAttrs]), 0)
		e.Attrs, _ = attrs.(map[string]any)
	}
	eachPair(v.b, 0, func(name []byte, at int) {
		if FieldOf(name) == FUnknown {
			if e.Extra == nil {
				e.Extra = map[string]any{}
			}
			e.Extra[string(name)], _, _ = readAny(v.b, at, 0)
		}
	})
	return nil
}
