package wire

import "unicode/utf8"

// The first version's Protobuf event, AgentEvent {agent_id = 1, timestamp = 2, type = 3, payload = 4}, lies in the first
// four fields of Event. Its type, a text or the number of its place, becomes
//
//	0 STATUS_UPDATE   type: state
//	1 TASK_COMPLETE   type: task, status: ok, and phase: end where the payload names the task
//	2 ERROR           type: log, severity: error
//	3 METRICS         type: metrics
//
// and with a payload but no type, STATUS_UPDATE. Any type of ours may stand there too. The payload is a JSON object or a
// google.protobuf.Struct, of which these go to fields of their own, the rest to attrs:
//
//	STATUS_UPDATE  state or status, a state's name                    state
//	TASK_COMPLETE  task, taskId or task_id, a text                     task
//	               result or output                                   output
//	ERROR          message, msg or error, a text                      msg
//	               code, a text                                       error.code
//	METRICS        tasksCompleted, a number                           counters.tasks_completed
//	               other numbers, here or in a map called metrics     metrics
//
// or another text, which becomes msg (STATUS_UPDATE: state where it is a state's name), or other bytes, which become
// attrs.payload.
type oldEvent struct {
	form    uint8
	payload []byte
}

const (
	formStatusUpdate = iota
	formTaskComplete
	formError
	formMetrics
	formNone
)

func formOf(name []byte) uint8 {
	switch string(name) {
	case "STATUS_UPDATE":
		return formStatusUpdate
	case "TASK_COMPLETE":
		return formTaskComplete
	case "ERROR":
		return formError
	case "METRICS":
		return formMetrics
	}
	return formNone
}

// first appends what the old fields stand for and returns the number of pairs.
func (r *protoReader) first(old *oldEvent) (n int) {
	pair := func(name, value string) {
		r.dst = AppendStr(AppendStr(r.dst, name), value)
		n++
	}
	switch old.form {
	case formStatusUpdate:
		pair("type", "state")
	case formTaskComplete:
		pair("type", "task")
		pair("status", "ok")
	case formError:
		pair("type", "log")
		pair("severity", "error")
	case formMetrics:
		pair("type", "metrics")
	}
	switch {
	case len(old.payload) == 0:
	case r.object(old.payload):
		n += r.spread(old.form)
	case utf8.Valid(old.payload):
		name := "msg"
		if isState(old.payload) && old.form == formStatusUpdate {
			name = "state"
		}
		r.dst = AppendStr(AppendStr(r.dst, name), old.payload)
		n++
	default:
		r.dst = AppendMapHeader(AppendStr(r.dst, "attrs"), 1)
		r.dst = AppendBin(AppendStr(r.dst, "payload"), old.payload)
		n++
	}
	return n
}

func isState(s []byte) bool { _, ok := indexOf(stateNames[:], s); return ok }

// object reads a payload that is a JSON object or a Struct into r.old.
func (r *protoReader) object(p []byte) bool {
	if i := skipSpace(p, 0); i < len(p) && p[i] == '{' {
		out, e := AppendMsgpackFromJSON(r.old[:0], p)
		r.old = out
		return e == nil
	}
	var t protoToken
	for i := 0; i < len(p); {
		if i = readProto(p, i, &t); i < 0 || t.num != 1 || t.typ != wireBytes {
			return false
		}
	}
	sub := protoReader{dst: r.old[:0]}
	ok := sub.structure(p, 1)
	r.old = sub.dst
	if ok { // texts that are no UTF-8 make it bytes like any others
		_, ft := skipChecked(r.old, 0, 1)
		ok = !ft.bad()
	}
	return ok
}

// Where an entry of the payload goes, in the order of writing.
const (
	toField = iota
	toMetrics
	toCounters
	toAttrs
	toInner // a map of metrics
)

// place says where an entry goes, under which name; what a field has taken already stays among the attrs.
func place(form uint8, name, value []byte, taken *uint8) (to int, as string) {
	k, _, _ := token(value, 0)
	once := func(as string) (int, string) {
		if *taken&1 != 0 {
			return toAttrs, ""
		}
		*taken |= 1
		return toField, as
	}
	s, _, _ := readStr(value, 0)
	switch form {
	case formStatusUpdate:
		if n := string(name); (n == "state" || n == "status") && isState(s) {
			return once("state")
		}
	case formTaskComplete:
		switch string(name) {
		case "task", "taskId", "task_id":
			if len(s) > 0 {
				return once("task")
			}
		case "result", "output":
			if *taken&2 == 0 {
				*taken |= 2
				return toField, "output"
			}
		}
	case formError:
		switch string(name) {
		case "message", "msg", "error":
			if k == kStr {
				return once("msg")
			}
		case "code":
			if k == kStr && *taken&2 == 0 {
				*taken |= 2
				return toField, "error"
			}
		}
	case formMetrics:
		switch {
		case k == kMap && string(name) == "metrics":
			return toInner, ""
		case k != kInt && k != kFloat:
		case string(name) == "tasksCompleted":
			return toCounters, "tasks_completed"
		default:
			return toMetrics, ""
		}
	}
	return toAttrs, ""
}

// spread appends the entries of the map r.old to the fields that they go to, and returns the number of pairs.
func (r *protoReader) spread(form uint8) (n int) {
	for to, name := range [...]string{toMetrics: "metrics", toCounters: "counters", toAttrs: "attrs"} {
		if to == toField {
			n += r.entriesTo(r.old, form, to)
			continue
		}
		from := len(r.dst)
		r.dst = AppendStr(r.dst, name)
		header := len(r.dst)
		r.dst = append(r.dst, 0x80)
		k := r.entriesTo(r.old, form, to)
		if k == 0 {
			r.dst = r.dst[:from]
			continue
		}
		r.dst = closeContainer(r.dst, header, k, 0x80)
		n++
	}
	return n
}

func (r *protoReader) entriesTo(m []byte, form uint8, want int) (n int) {
	var taken uint8
	_, left, i := token(m, 0)
	for ; left > 0; left-- {
		name, next, _ := readStr(m, i)
		i, _ = skipAny(m, next)
		value := m[next:i]
		to, as := place(form, name, value, &taken)
		switch {
		case to == toInner && want != toField:
			n += r.entriesTo(value, form, want)
		case to != want:
		case as == "error":
			r.dst = AppendMapHeader(AppendStr(r.dst, as), 1)
			r.dst = append(AppendStr(r.dst, "code"), value...)
			n++
		case as == "task":
			r.dst = append(AppendStr(r.dst, as), value...)
			r.dst = AppendStr(AppendStr(r.dst, "phase"), "end")
			n += 2
		case as != "":
			r.dst = append(AppendStr(r.dst, as), value...)
			n++
		default:
			r.dst = append(AppendStr(r.dst, name), value...)
			n++
		}
	}
	return n
}
