package fleet

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"eyrie/engine/wire"
)

// AppendJSON appends the row as JSON: the members of the struct tags.
func (r *Agent) AppendJSON(dst []byte) []byte {
	w := object{dst: append(dst, '{')}
	w.str("space", r.Space)
	w.str("id", r.ID)
	w.opt("name", r.Name)
	w.opt("role", r.Role)
	w.opt("host", r.Host)
	w.opt("version", r.Version)
	w.opt("model", r.Model)
	w.opt("manager", r.Manager)
	w.opt("kind", r.Kind)
	w.str("state", r.State)
	w.opt("on", r.On)
	w.str("state_by", r.StateBy)
	w.num("state_since_ms", r.StateSince)
	w.opt("state_msg", r.StateMsg)
	if r.Verdict != nil {
		w.raw("verdict", r.Verdict)
	}
	w.str("show", r.Show)
	if t := r.Task; t != nil {
		w.open("task")
		w.str("span", t.Span)
		w.str("name", t.Name)
		w.num("since_ms", t.Since)
		w.opt("from", t.From)
		w.close()
	}
	if t := r.Run; t != nil {
		w.open("run")
		w.str("id", t.ID)
		w.str("name", t.Name)
		w.close()
	}
	w.opt("session", r.Session)
	if t := r.Ask; t != nil {
		w.open("ask")
		w.str("span", t.Span)
		w.str("name", t.Name)
		w.str("msg", t.Msg)
		w.str("kind", t.Kind)
		w.num("since_ms", t.Since)
		w.close()
	}
	w.num("first_ms", r.First)
	w.num("last_ms", r.Last)
	w.key("ended")
	w.dst = strconv.AppendBool(w.dst, r.Ended)
	if r.EndedMs != 0 {
		w.num("ended_ms", r.EndedMs)
	}
	w.opt("ended_by", r.EndedBy)
	if r.HeartbeatMs != 0 {
		w.num("heartbeat_ms", r.HeartbeatMs)
	}
	w.int("links", int64(r.Links))
	w.int("workers", int64(r.Workers))
	if len(r.Labels) > 0 {
		w.open("labels")
		for _, k := range slices.Sorted(maps.Keys(r.Labels)) {
			w.str(k, r.Labels[k])
		}
		w.close()
	}
	r.figures(&w)
	return append(w.dst, '}')
}

func (r *Agent) figures(w *object) {
	c := &r.Counts
	w.open("counts")
	for i, n := range [...]uint64{c.Events, c.Runs, c.Tasks, c.LLM, c.Tools, c.Asks, c.Messages, c.Errors, c.FailedCalls, c.Denied, c.Cancelled, c.Shed} {
		w.key(countNames[i])
		w.dst = strconv.AppendUint(w.dst, n, 10)
	}
	w.close()
	u := &r.Usage
	w.open("usage")
	w.int("input_tokens", u.Input)
	w.int("output_tokens", u.Output)
	w.int("cache_read_tokens", u.CacheRead)
	w.int("cache_write_tokens", u.CacheWrite)
	w.int("reasoning_tokens", u.Reasoning)
	w.int("cost_nanousd", u.Cost)
	w.str("quality", u.Quality)
	w.close()
	w.open("rate")
	w.key("events_15m")
	for i, n := range r.Rate.Events15m {
		c := byte(',')
		if i == 0 {
			c = '['
		}
		w.dst = strconv.AppendUint(append(w.dst, c), uint64(n), 10)
	}
	w.dst = append(w.dst, ']')
	w.int("cost_nanousd_h", r.Rate.CostH)
	w.close()
	w.open("open")
	w.int("tools", int64(r.Open.Tools))
	w.int("llm", int64(r.Open.LLM))
	w.int("tasks", int64(r.Open.Tasks))
	w.close()
}

var countNames = [...]string{"events", "runs", "tasks", "llm", "tools", "asks", "messages", "errors", "failed_calls", "denied", "cancelled", "shed"}

// object appends the members of a JSON object.
type object struct{ dst []byte }

func (w *object) key(k string) {
	if w.dst[len(w.dst)-1] != '{' {
		w.dst = append(w.dst, ',')
	}
	w.dst = append(wire.AppendJSONString(w.dst, k), ':')
}

func (w *object) str(k, s string) { w.key(k); w.dst = wire.AppendJSONString(w.dst, s) }

func (w *object) opt(k, s string) {
	if s != "" {
		w.str(k, s)
	}
}

func (w *object) int(k string, n int64) { w.key(k); w.dst = strconv.AppendInt(w.dst, n, 10) }

func (w *object) num(k string, x float64) {
	w.key(k)
	w.dst = strconv.AppendFloat(w.dst, x, 'f', -1, 64)
}

func (w *object) open(k string) { w.key(k); w.dst = append(w.dst, '{') }
func (w *object) close()        { w.dst = append(w.dst, '}') }

func (w *object) raw(k string, x any) {
	w.key(k)
	b, _ := json.Marshal(x) // plain structs of texts and numbers: it cannot fail
	w.dst = append(w.dst, b...)
}
