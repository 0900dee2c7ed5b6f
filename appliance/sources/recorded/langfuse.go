package recorded

import (
	"encoding/json"
	"slices"
	"time"

	"eyrie/appliance/sources"
	"eyrie/engine/wire"
)

// observation is one span of a langfuse trace.
type observation struct {
	ID      string           `json:"id"`
	Parent  string           `json:"parentObservationId"`
	Type    string           `json:"type"`
	Name    string           `json:"name"`
	Start   time.Time        `json:"startTime"`
	End     *time.Time       `json:"endTime"`
	Level   string           `json:"level"`
	Status  string           `json:"statusMessage"`
	Model   string           `json:"model"`
	Input   json.RawMessage  `json:"input"`
	Output  json.RawMessage  `json:"output"`
	Usage   map[string]int64 `json:"usageDetails"`
	CostUSD float64          `json:"totalCost"`
}

func (b *builder) langfuse(data []byte) error {
	var r struct {
		Trace struct {
			ID   string    `json:"id"`
			Name string    `json:"name"`
			At   time.Time `json:"timestamp"`
		} `json:"trace"`
		Observations []observation `json:"observations"`
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return err
	}
	obs := r.Observations
	if len(obs) == 0 {
		return nil
	}
	slices.SortStableFunc(obs, func(a, c observation) int { return a.Start.Compare(c.Start) })
	by := map[string]*observation{}
	first, last := obs[0].Start, obs[0].Start
	for i := range obs {
		by[obs[i].ID] = &obs[i]
		if e := obs[i].End; e != nil && e.After(last) {
			last = *e
		}
	}
	b.now = first.UnixNano()
	chief := b.agent("", "")
	title := r.Trace.Name
	if title == "" {
		title = b.name
	}
	b.run = "trace-" + r.Trace.ID
	run := wire.Event{Type: wire.TypeRun, Agent: chief, Span: b.run, Name: sources.Title(title, titleBytesMax), Phase: wire.PhaseStart, TS: b.now}
	b.put(run)
	b.state(chief, "running", "", "")
	failed := false
	for i := range obs {
		failed = b.observe(&obs[i], by, chief) || failed
	}
	d := float64(last.Sub(first)) / 1e6
	run.Phase, run.TS, run.Start, run.DurMs, run.Status = wire.PhaseEnd, last.UnixNano(), first.UnixNano(), &d, wire.StatusOK
	state := "done"
	if failed {
		fail(&run, "step_failed", "a step of the trace failed")
		state = "failed"
	}
	b.put(run)
	b.now = last.UnixNano()
	b.state(chief, state, "", "")
	b.sourceTimes()
	return nil
}

// observe adds the start and the end of one observation; true when it failed.
func (b *builder) observe(o *observation, by map[string]*observation, chief string) bool {
	b.now = o.Start.UnixNano()
	types := map[string]wire.Type{"GENERATION": wire.TypeLLM, "TOOL": wire.TypeTool}
	e := wire.Event{Type: types[o.Type], Agent: b.ownerOf(o, by, chief), Span: o.ID, Parent: o.Parent, Phase: wire.PhaseStart, TS: b.now}
	if e.Type == 0 {
		e.Type = wire.TypeSpan
	}
	if e.Parent == "" || by[e.Parent] == nil {
		e.Parent = b.run
	}
	if e.Name = sources.Cut(o.Name, nameBytesMax); e.Type == wire.TypeLLM && o.Model != "" {
		e.Name = sources.Cut(o.Model, nameBytesMax)
	}
	e.Input = short(o.Input)
	b.put(e)
	if o.End == nil {
		return false
	}
	d := float64(o.End.Sub(o.Start)) / 1e6
	e.Phase, e.TS, e.Start, e.DurMs, e.Status, e.Input, e.Output = wire.PhaseEnd, o.End.UnixNano(), b.now, &d, wire.StatusOK, nil, short(o.Output)
	if o.Level == "ERROR" {
		fail(&e, "error", o.Status)
	}
	if e.Type == wire.TypeLLM && len(o.Usage) > 0 {
		e.Usage = &wire.Usage{Model: []byte(o.Model), Input: max(0, o.Usage["input"]), Output: max(0, o.Usage["output"]), CacheRead: max(0, o.Usage["input_cache_read"]),
			Reasoning: max(0, o.Usage["output_reasoning"]), CostClaimedNanoUSD: max(0, int64(o.CostUSD*1e9)), Quality: wire.QualityExact}
		b.put(wire.Event{Type: wire.TypeMetrics, Agent: e.Agent, TS: e.TS, Name: "usage", Metrics: map[string]float64{"latency_ms": d, "output_tokens": float64(e.Usage.Output), "context_tokens": float64(e.Usage.Input)}})
	}
	b.put(e)
	return e.Status == wire.StatusError
}

// ownerOf is the agent that an observation belongs to: the innermost AGENT around it that is not the outermost.
func (b *builder) ownerOf(o *observation, by map[string]*observation, chief string) string {
	for p, n := o, 0; p != nil && n < 64; p, n = by[p.Parent], n+1 {
		if p.Type == "AGENT" && p.Parent != "" && by[p.Parent] != nil {
			return b.agent(p.Name, chief)
		}
	}
	return chief
}

// sourceTimes marks the times as the recording's own.
func (b *builder) sourceTimes() {
	for i := range b.events {
		b.events[i].TSFrom = ""
	}
}

// short is a JSON value as text, cut.
func short(raw json.RawMessage) any {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return sources.Cut(s, textBytesMax)
	}
	return sources.Cut(string(raw), textBytesMax)
}
