package live

import (
	"strconv"
	"strings"

	"eyrie/appliance/query"
	"eyrie/engine/wire"
	"eyrie/wal"

	"github.com/tinylib/msgp/msgp"
)

func appendUint(dst []byte, n uint64) []byte { return strconv.AppendUint(dst, n, 10) }

// envelope names the members that the log says, not the payload.
func envelope(name []byte) bool {
	switch string(name) {
	case "offset", "recv_ms", "space", "agent", "producer", "seq", "type", "phase", "severity":
		return true
	}
	return false
}

// AppendEventJSON appends a record as the API shows it: the envelope, then the
// payload's fields under their own names. name answers the log's dictionary of
// agents. Records other than events are of type system, with their kind.
func AppendEventJSON(dst []byte, r *wal.Record, name func(num uint32) (space, id string, ok bool)) []byte {
	dst = appendUint(append(dst, `{"offset":`...), r.Offset)
	dst = strconv.AppendFloat(append(dst, `,"recv_ms":`...), float64(r.Recv/1e3)/1e3, 'f', -1, 64)
	if r.Agent != 0 {
		if space, id, ok := name(r.Agent); ok {
			dst = wire.AppendJSONString(append(dst, `,"space":`...), space)
			dst = wire.AppendJSONString(append(dst, `,"agent":`...), id)
		}
	}
	if r.Producer != 0 {
		dst = appendUint(append(dst, `,"producer":`...), uint64(r.Producer))
	}
	if r.Seq != 0 {
		dst = appendUint(append(dst, `,"seq":`...), r.Seq)
	}
	if r.Kind != wal.KindEvent {
		return appendSystem(dst, r)
	}
	h := wire.HeadFromFlags(r.Flags)
	dst = wire.AppendJSONString(append(dst, `,"type":`...), wire.Type(r.Class).String())
	dst = wire.AppendJSONString(append(dst, `,"phase":`...), h.Phase.String())
	sev := h.Severity
	if sev == 0 {
		sev = wire.SeverityInfo
	}
	dst = wire.AppendJSONString(append(dst, `,"severity":`...), sev.String())
	return append(appendMembers(dst, r.Payload), '}')
}

// appendMembers appends the members of a payload; what does not decode is left
// out from there on and named.
func appendMembers(dst, b []byte) []byte {
	n, b, err := msgp.ReadMapHeaderBytes(b)
	for ; err == nil && n > 0; n-- {
		var k, rest []byte
		if k, b, err = msgp.ReadMapKeyZC(b); err != nil {
			break
		}
		if rest, err = msgp.Skip(b); err != nil {
			break
		}
		value := b[:len(b)-len(rest)]
		b = rest
		if envelope(k) {
			continue
		}
		mark := len(dst)
		dst = append(wire.AppendJSONString(append(dst, ','), k), ':')
		quote := string(k) == "ts_ns" && len(value) > 0 && value[0] != 0xc0 && msgp.NextType(value) != msgp.StrType
		if quote {
			dst = append(dst, '"')
		}
		var bad error
		if dst, bad = wire.AppendJSONValue(dst, value); bad != nil {
			dst = dst[:mark]
			continue
		}
		if quote {
			dst = append(dst, '"')
		}
	}
	if err != nil {
		dst = append(dst, `,"damaged":true`...)
	}
	return dst
}

// appendSystem ends a record of the log's own.
func appendSystem(dst []byte, r *wal.Record) []byte {
	dst = append(dst, `,"type":"system","kind":`...)
	dst = wire.AppendJSONString(dst, strings.TrimSuffix(r.Kind.String(), "-dict"))
	if r.Kind == wal.KindLost || r.Kind == wal.KindShed {
		dst = appendUint(append(dst, `,"to":`...), r.To())
	}
	if r.Kind == wal.KindShed {
		dst = wire.AppendJSONString(append(dst, `,"class":`...), wire.Prio(r.Class).String())
		return append(dst, '}')
	}
	if body := r.Body(); len(body) > 0 && msgp.NextType(body) == msgp.MapType {
		mark := len(dst)
		dst = append(dst, `,"data":`...)
		var err error
		if dst, err = wire.AppendJSONValue(dst, body); err != nil {
			dst = dst[:mark]
		}
	}
	return append(dst, '}')
}

// passes decides by what a block says of record i alone whether the subscription
// may want it: most records of most subscriptions end here.
func (s *sub) passes(b *wal.Block, i int) bool {
	f := &s.filter
	if b.Kind(i) != wal.KindEvent {
		return f.system && f.run == "" && f.q.Empty() && s.admits(b.Agent(i))
	}
	return f.classes>>(b.Class(i)&63)&1 == 1 && b.Flags(i)>>2&7 >= f.severity && s.admits(b.Agent(i))
}

// admits tells whether the filter's space and agent let an agent through. A number
// stands for the same agent for ever, so its name is looked up once.
func (s *sub) admits(num uint32) bool {
	f := &s.filter
	if f.space == "" && f.agent == "" {
		return true
	}
	if s.admitted.has(num) {
		return true
	}
	if s.known.has(num) {
		return false
	}
	var space, id string
	if num != 0 {
		ok := false
		if space, id, ok = s.h.o.Log.Agent(num); !ok {
			return false
		}
	}
	s.known.set(num)
	ok := (f.space == "" || f.space == space) && (f.agent == "" || f.agent == id)
	if ok {
		s.admitted.set(num)
	}
	return ok
}

// hit decides whether the subscription wants a record that passes.
func (s *sub) hit(r *reader, rec *wal.Record) bool {
	f := &s.filter
	if rec.Kind != wal.KindEvent {
		return true
	}
	if f.runKey != 0 && rec.Key != f.runKey {
		return false
	}
	if f.run == "" && f.q.Empty() {
		return true
	}
	if r.view.Reset(rec.Payload) != nil || f.run != "" && string(r.view.Str(wire.FRun)) != f.run {
		return false
	}
	if f.q.Empty() {
		return true
	}
	r.row = eventRow{rec: rec, w: &r.view}
	if rec.Agent != 0 {
		r.row.space, r.row.agent, _ = s.h.o.Log.Agent(rec.Agent)
	}
	return f.q.Match(&r.row)
}

// eventRow shows an event to a query.
type eventRow struct {
	rec          *wal.Record
	w            *wire.View
	space, agent string
}

// NewEventRow shows an event to a query; w is its parsed payload.
func NewEventRow(rec *wal.Record, w *wire.View, space, agent string) query.Row {
	return &eventRow{rec, w, space, agent}
}

// Field answers the fields of the query language for an event.
func (e *eventRow) Field(name string) query.Value {
	switch name {
	case "space":
		return query.T(e.space)
	case "agent":
		return query.T(e.agent)
	case "offset":
		return query.N(float64(e.rec.Offset))
	case "recv":
		return query.N(float64(e.rec.Recv) / 1e6)
	case "type":
		return query.T(wire.Type(e.rec.Class).String())
	case "phase":
		return query.T(wire.Phase(e.rec.Flags & 3).String())
	case "severity":
		return query.T(max(wire.Severity(e.rec.Flags>>2&7), wire.SeverityInfo).String())
	case "tool":
		if wire.Type(e.rec.Class) == wire.TypeTool {
			return query.T(string(e.w.Str(wire.FName)))
		}
		return query.Value{}
	case "dur":
		name = "dur_ms"
	case "cost", "tokens", "model":
		if u, ok := e.w.Usage(); ok {
			switch name {
			case "cost":
				return query.N(float64(u.CostNanoUSD))
			case "tokens":
				return query.N(float64(u.Input + u.Output + u.CacheRead + u.CacheWrite))
			}
			return query.T(string(u.Model))
		}
	case "state":
		if st, _, _, ok := e.w.State(); ok {
			return query.T(string(st))
		}
	case "error":
		if code, msg, ok := e.w.Error(); ok {
			return query.T(strings.TrimSpace(string(code) + " " + string(msg)))
		}
	}
	if f := wire.FieldOf(name); f != wire.FUnknown {
		if s := e.w.Str(f); len(s) > 0 {
			return query.T(string(s))
		}
		if x, ok := e.w.Float(f); ok {
			return query.N(x)
		}
		return query.Value{}
	}
	// Any path into the payload; a name alone is sought in labels and attrs, too.
	var v query.Value
	e.Each(name, func(x query.Value) bool { v = x; return true })
	return v
}
