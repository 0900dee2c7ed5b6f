package wire

import "time"

// The first version's JSON event, {agentId, timestamp, metrics {cpu, memory, tasksCompleted}}, is taken as
//
//	(no type)               type: metrics
//	agentId                 agent
//	timestamp               ts        (Unix ms as a number, or an RFC 3339 text)
//	metrics.cpu             metrics.cpu
//	metrics.memory          metrics.memory
//	metrics.tasksCompleted  counters.tasks_completed
//	metrics.NAME            metrics.NAME
//	other fields            kept under their names
//
// wherever an event has agentId and no type.

// fromSeed maps such an event, whose structure was checked, and judges the result; ok is false for another event.
func (p *Parser) fromSeed(b []byte, h *Head, i int) (payload []byte, e *FieldError, ok bool) {
	var agent, ts, metrics []byte
	_, n, at := token(b, 0)
	extra := 0
	for j, left := at, n; left > 0; left-- {
		name, next, _ := readStr(b, j)
		if j, ok = skipAny(b, next); !ok {
			return nil, nil, false
		}
		switch string(name) {
		case "agentId":
			agent = b[next:j]
		case "timestamp":
			ts = b[next:j]
		case "metrics":
			metrics = b[next:j]
		default:
			extra++
		}
	}
	if agent == nil {
		return nil, nil, false
	}
	path := eventPath(i)
	if _, ft := checkID(agent, 0); ft.bad() {
		return nil, packFault(path+".agentId", agent, 0, ft), true
	}
	d := AppendMapHeader(p.seed[:0], extra+2+2*min(len(metrics), 1)+min(len(ts), 1))
	d = AppendStr(AppendStr(d, "type"), "metrics")
	d = append(AppendStr(d, "agent"), agent...)
	if ts != nil {
		d = AppendStr(d, "ts")
		if s, _, ok := readStr(ts, 0); ok {
			t, err := time.Parse(time.RFC3339Nano, string(s))
			if err != nil {
				return nil, &FieldError{Code: CodeType, Field: path + ".timestamp", Msg: "wants Unix milliseconds or an RFC 3339 text"}, true
			}
			d = AppendInt(d, t.UnixMilli())
		} else if _, _, ft := checkInstantMs(ts, 0); ft.bad() {
			return nil, packFault(path+".timestamp", ts, 0, ft), true
		} else {
			d = append(d, ts...)
		}
	}
	if metrics != nil {
		if d, ok = appendSeedMetrics(d, metrics); !ok {
			return nil, &FieldError{Code: CodeType, Field: path + ".metrics", Msg: "wants a map of numbers"}, true
		}
	}
	for j, left := at, n; left > 0; left-- {
		name, next, _ := readStr(b, j)
		from := j
		j, _ = skipAny(b, next)
		switch string(name) {
		case "agentId", "timestamp", "metrics":
		default:
			d = append(d, b[from:j]...)
		}
	}
	p.seed = d
	if len(d) > MaxEvent {
		return nil, tooLarge(i), true
	}
	if _, ft := checkEvent(d, 0, h); ft.bad() {
		return nil, packFault(path, d, 0, ft), true
	}
	return d, nil, true
}

func appendSeedMetrics(d, metrics []byte) ([]byte, bool) {
	k, n, at := token(metrics, 0)
	if k != kMap {
		return d, false
	}
	done := 0
	for i, left := at, n; left > 0; left-- {
		name, next, _ := readStr(metrics, i)
		if i, _ = skipAny(metrics, next); string(name) == "tasksCompleted" {
			done++
		}
	}
	for pass, header := range [2]string{"metrics", "counters"} {
		d = AppendStr(d, header)
		d = AppendMapHeader(d, [2]int{n - done, done}[pass])
		for i, left := at, n; left > 0; left-- {
			name, next, _ := readStr(metrics, i)
			from := i
			i, _ = skipAny(metrics, next)
			counter := string(name) == "tasksCompleted"
			switch {
			case counter && pass == 1:
				d = append(AppendStr(d, "tasks_completed"), metrics[next:i]...)
			case !counter && pass == 0:
				d = append(d, metrics[from:i]...)
			}
		}
	}
	return d, true
}
