package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"eyrie/appliance/query"
	"eyrie/engine/wire"
)

// request is any message of a viewer.
type request struct {
	Op      string          `json:"op"`
	ID      int64           `json:"id"`
	What    string          `json:"what"`
	Filter  filterJSON      `json:"filter"`
	From    json.RawMessage `json:"from"`
	Mode    string          `json:"mode"`
	Credits *int64          `json:"credits"`
	N       int64           `json:"n"`
	T       json.Number     `json:"t"`
	Agents  []agentName     `json:"agents"`
}

type agentName struct {
	Space string `json:"space"`
	ID    string `json:"id"`
}

type filterJSON struct {
	Space    string `json:"space"`
	Agent    string `json:"agent"`
	Type     words  `json:"type"`
	Severity string `json:"severity"`
	Run      string `json:"run"`
	Q        string `json:"q"`
	System   bool   `json:"system"`
}

// words is a list of words, or one text with commas.
type words []string

func (w *words) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*w = nil
		if one != "" {
			*w = strings.Split(one, ",")
		}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(w))
}

// filter is a filter made ready.
type filter struct {
	space    string
	agent    string
	classes  uint64
	severity uint8
	run      string
	runKey   uint32
	system   bool
	q        *query.Query
}

var errFilter = errors.New("filter")

func (f *filterJSON) parse() (filter, error) {
	out := filter{space: f.Space, agent: f.Agent, run: f.Run, runKey: wire.RunKey([]byte(f.Run)), system: f.System, classes: ^uint64(0)}
	if len(f.Type) > 0 {
		out.classes = 0
		for _, w := range f.Type {
			t, ok := wire.ParseType(w)
			if w == "system" {
				out.system = true
				continue
			}
			if !ok {
				return out, fmt.Errorf("%w: type %q is none of the protocol's", errFilter, w)
			}
			out.classes |= 1 << t
		}
	}
	if f.Severity != "" {
		s, ok := wire.ParseSeverity(f.Severity)
		if !ok {
			return out, fmt.Errorf("%w: severity %q is none of debug, info, warn, error, fatal", errFilter, f.Severity)
		}
		out.severity = uint8(s)
	}
	q, err := query.Parse(f.Q)
	if err != nil {
		return out, fmt.Errorf("%w: %w", errFilter, err)
	}
	out.q = q
	return out, nil
}

// origin is where a subscription begins: now, an offset of an epoch, or an
// age.
type origin struct {
	now    bool
	offset uint64
	epoch  string
	age    time.Duration
}

func parseFrom(raw json.RawMessage) (o origin, err error) {
	s := strings.Trim(string(raw), `"`)
	switch {
	case s == "" || s == "null" || s == "now":
		o.now = true
		return o, nil
	case strings.HasPrefix(s, "-"):
		o.age, err = time.ParseDuration(s[1:])
	default:
		if e, rest, ok := strings.Cut(s, ":"); ok {
			o.epoch, s = e, rest
		}
		o.offset, err = strconv.ParseUint(s, 10, 53)
	}
	if err != nil {
		return o, fmt.Errorf("from: %q is neither now, an offset, epoch:offset nor an age like -5m", s)
	}
	return o, nil
}

// The messages of the server. Each appends to dst.

func head(dst []byte, op string, id int64) []byte {
	dst = append(append(append(dst, `{"op":"`...), op...), `","id":`...)
	return strconv.AppendInt(dst, id, 10)
}

func offsetField(dst []byte, off uint64) []byte {
	return strconv.AppendUint(append(dst, `,"offset":`...), off, 10)
}

func (h *Hub) helloMessage() []byte {
	b := append([]byte(`{"op":"hello","log":"`), h.logID()...)
	b = strconv.AppendUint(append(b, `","epoch":`...), uint64(h.o.Log.Epoch()), 10)
	b = offsetField(b, h.offset())
	b = strconv.AppendFloat(append(b, `,"clock_ms":`...), h.clockMs(), 'f', -1, 64)
	return append(b, '}')
}

func (h *Hub) pongMessage(t json.Number) []byte {
	if t == "" {
		t = "0"
	}
	b := append([]byte(`{"op":"pong","t":`), t...)
	b = strconv.AppendFloat(append(b, `,"clock_ms":`...), h.clockMs(), 'f', -1, 64)
	return append(offsetField(b, h.offset()), '}')
}

func errorMessage(id int64, code, detail string) []byte {
	b := append(head(nil, "error", id), `,"code":`...)
	b = append(wire.AppendJSONString(b, code), `,"detail":`...)
	return append(wire.AppendJSONString(b, detail), '}')
}

func subscribedMessage(id int64, off uint64, recovered bool) []byte {
	b := offsetField(head(nil, "subscribed", id), off)
	return append(strconv.AppendBool(append(b, `,"recovered":`...), recovered), '}')
}

func loadingMessage(progress []byte) []byte {
	return append(append([]byte(`{"op":"loading","progress":`), progress...), '}')
}

var loadedMessage = []byte(`{"op":"loaded"}`)
