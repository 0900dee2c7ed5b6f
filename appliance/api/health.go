package api

import (
	"bytes"
	"net/http"
	"net/http/pprof"
	"time"

	"eyrie/appliance/access"
	"eyrie/appliance/obs"

	"github.com/VictoriaMetrics/metrics"
	"github.com/valyala/fasthttp/fasthttpadaptor"
)

// health answers that the process lives.
func (q *req) health() error { return q.json(map[string]string{"status": "ok"}) }

// ready answers 200 if everything works, else 503 with the reasons; for=ingest asks
// for no more than that events are taken.
func (q *req) ready() error {
	ok, why := q.s.p.Host.Ready()
	accepts, whyNot := q.s.p.Host.Accepts()
	switch q.arg("for") {
	case "":
	case "ingest":
		ok, why = accepts, whyNot
	default:
		return badField("for", "want ingest, or nothing")
	}
	if why == nil {
		why = []string{}
	}
	if !ok {
		q.SetStatusCode(503)
	}
	return q.json(map[string]any{"ready": ok, "accepts": accepts, "reasons": why, "views": q.viewRows(), "loading": q.s.p.Host.Loading()})
}

// metrics answers eyrie's own metrics in Prometheus' text format.
func (q *req) metrics() error {
	var b bytes.Buffer
	for _, s := range q.s.p.Metrics {
		s.WritePrometheus(&b)
	}
	metrics.WriteProcessMetrics(&b)
	q.SetContentType("text/plain; version=0.0.4; charset=utf-8")
	q.SetBody(b.Bytes())
	return nil
}

// pprof answers Go's profiles.
func (q *req) pprof() error {
	var h http.HandlerFunc
	switch q.args[0] {
	case "profile":
		h = pprof.Profile
	case "trace":
		h = pprof.Trace
	case "symbol":
		h = pprof.Symbol
	case "cmdline":
		h = pprof.Cmdline
	default:
		h = pprof.Handler(q.args[0]).ServeHTTP
	}
	fasthttpadaptor.NewFastHTTPHandlerFunc(h)(q.RequestCtx)
	return nil
}

// status answers what this node is and does.
func (q *req) status() error {
	ok, why := q.s.p.Host.Ready()
	if why == nil {
		why = []string{}
	}
	n := q.s.p.Host.Status()
	st := q.s.p.Log.Stats()
	build := obs.Stamp()
	out := map[string]any{
		"version": build.Version, "commit": build.Commit, "go": build.Go,
		"log": map[string]any{
			"id": logID(q.s), "epoch": q.s.p.Log.Epoch(), "next": q.s.p.Log.Next(), "bytes": st.DiskBytes, "disk_free": n.DiskFree,
		},
		"views":         q.viewRows(),
		"uptime_s":      q.s.p.Now().Sub(n.Started).Round(time.Second).Seconds(),
		"ready":         ok,
		"reasons":       why,
		"records_total": q.s.p.Log.Next() - 1,
		"listeners":     n.Listeners,
		"hostname":      n.Hostname,
		"clock_ms":      float64(q.s.p.Now().UnixMicro()) / 1e3,
		"loading":       q.s.p.Host.Loading(),
	}
	if v := q.s.p.Views(); v != nil {
		space := q.who.Space
		if space == access.AnySpace {
			space = ""
		}
		seen, all, own := v.Fleet.Count(space), v.Fleet.Count(""), v.Fleet.Count(SelfSpace)
		out["agents"], out["first_event"] = seen, all > own
	} else {
		out["agents"], out["first_event"] = nil, q.s.othersKnown()
	}
	return q.json(out)
}

// othersKnown tells whether the log knows an agent beside eyrie itself.
func (s *Server) othersKnown() bool {
	for n := uint32(1); n <= uint32(s.p.Log.Agents()); n++ {
		if space, _, ok := s.p.Log.Agent(n); ok && space != SelfSpace {
			return true
		}
	}
	return false
}

// SelfSpace is the space in which eyrie reports itself and its host.
const SelfSpace = "eyrie"

type viewRow struct {
	Name   string `json:"name"`
	Cursor uint64 `json:"cursor"` // first offset not applied
	Lag    uint64 `json:"lag"`    // records
	Poison uint64 `json:"set_aside,omitempty"`
	Halted string `json:"halted,omitempty"`
	// Agreed is the offset below which it was given what the log holds, by the
	// digests of every producer; 0 until that was compared since the start.
	Agreed  uint64 `json:"agreed"`
	Differs string `json:"differs,omitempty"` // how it was not
}

func (q *req) viewRows() []viewRow {
	rows := []viewRow{}
	v := q.s.p.Views()
	if v == nil {
		return rows
	}
	for _, f := range v.Runner.Stats() {
		r := viewRow{Name: f.Name, Cursor: f.Cursor, Lag: f.Lag, Poison: f.Poison, Agreed: f.Agreed}
		if f.Halted != nil {
			r.Halted = f.Halted.Error()
		}
		if f.Differs != nil {
			r.Differs = f.Differs.String()
		}
		rows = append(rows, r)
	}
	return rows
}

// settings answers the configuration in force.
func (q *req) settings() error { return q.json(q.s.p.Host.Settings()) }

// Decision is one value that was chosen for this host.
type Decision struct {
	Key   string  `json:"key"`
	Value string  `json:"value"`
	Why   string  `json:"why"`
	At    float64 `json:"at_ms"` // Unix ms; later than the start where the host changed since
}

// tuning answers what was chosen for this host.
func (q *req) tuning() error {
	ds := q.s.p.Host.Tuning()
	return q.json(list{Items: ds, Total: len(ds)})
}
