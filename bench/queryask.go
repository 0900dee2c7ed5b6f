package bench

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"time"
)

// question is one kind of request, with what its answer has to hold.
type question struct {
	name   string
	says   string
	weight int // how often it comes in a round of all questions
	// ask returns a request of its kind and the judge of its answer.
	ask func(a *asked) (path string, judge func([]byte) error)
}

// asked is what questions are made of and judged by.
type asked struct {
	*books
	rng    *rand.Rand
	some   []string // agents
	inRuns []string // runs
	hour   int64    // Unix ms: begin of what is searched
	next   uint64   // of the log, when all of the books was in it
	grows  bool     // others send beside: counts of the whole fleet are the least
}

func (a *asked) agent() string { return a.some[a.rng.IntN(len(a.some))] }

// count holds a number against what was sent, of the whole fleet.
func (a *asked) count(what string, got, want uint64) error {
	if got == want || a.grows && got > want {
		return nil
	}
	return fmt.Errorf("%s: got %d, want %d", what, got, want)
}

// exact holds a number of the sampled agents against what was sent.
func exact(what string, got, want uint64) error {
	if got != want {
		return fmt.Errorf("%s: got %d, want %d", what, got, want)
	}
	return nil
}

// row is what is judged of an event or a span.
type row struct {
	Agent  string `json:"agent"`
	Type   string `json:"type"`
	Span   string `json:"span"`
	Run    string `json:"run"`
	Status string `json:"status"`
	Offset uint64 `json:"offset"`
}

// agentRow is what is judged of an agent.
type agentRow struct {
	ID    string `json:"id"`
	Usage struct {
		Cost int64 `json:"cost_nanousd"`
	} `json:"usage"`
}

// page is a list as every endpoint answers it.
type page[R any] struct {
	Items   []R     `json:"items"`
	Total   *uint64 `json:"total"`
	Partial bool    `json:"partial"`
}

const pageRows = 100

// list decodes a page and checks its length against what there is to list; with
// whole it is of the whole fleet, to which others may add.
func list[R any](b []byte, there uint64, whole *asked) (p page[R], err error) {
	if err := json.Unmarshal(b, &p); err != nil {
		return p, err
	}
	if p.Partial {
		return p, fmt.Errorf("the answer is partial")
	}
	if there = min(there, pageRows); whole != nil {
		return p, whole.count("items", uint64(len(p.Items)), there)
	}
	return p, exact("items", uint64(len(p.Items)), there)
}

// each checks every item.
func (p *page[R]) each(is func(r *R) bool, what string) error {
	for i := range p.Items {
		if !is(&p.Items[i]) {
			return fmt.Errorf("item %d is not %s: %+v", i, what, p.Items[i])
		}
	}
	return nil
}

func (p *page[R]) total() uint64 {
	if p.Total == nil {
		return 0
	}
	return *p.Total
}

// newestFirst checks the order of events.
func newestFirst(events []row) error {
	if !slices.IsSortedFunc(events, func(x, y row) int { return int(int64(y.Offset) - int64(x.Offset)) }) {
		return fmt.Errorf("the items are not the newest first")
	}
	return nil
}

// firstError returns the first that is one.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

var questions = []question{
	{"fleet", "/v1/fleet: the summary over all agents", 2, askFleet},
	{"attention", "/v1/attention: what wants a person now", 2, askAttention},
	{"agents", "/v1/agents: the first page, by last event", 2, func(a *asked) (string, func([]byte) error) {
		return "/v1/agents?space=main&limit=100", func(b []byte) error {
			p, err := list[agentRow](b, uint64(len(a.agents)), a)
			return firstError(err, a.count("agents", p.total(), uint64(len(a.agents))))
		}
	}},
	{"agents by text", "/v1/agents?q=: those of one team", 2, askTeam},
	{"agents by cost", "/v1/agents?sort=cost: the first page of all, sorted", 2, func(a *asked) (string, func([]byte) error) {
		return "/v1/agents?space=main&limit=100&sort=cost", func(b []byte) error {
			p, err := list[agentRow](b, uint64(len(a.agents)), a)
			if err == nil && !slices.IsSortedFunc(p.Items, func(x, y agentRow) int { return int(min(max(y.Usage.Cost-x.Usage.Cost, -1), 1)) }) {
				err = fmt.Errorf("the agents are not sorted by cost")
			}
			return err
		}
	}},
	{"agent", "/v1/agents/{space}/{id}: one agent", 3, askAgent},
	{"events of an agent", "/v1/events?agent=: its newest 100", 3, askEvents},
	{"events of a run", "/v1/events?run=: its newest 100", 2, askRunEvents},
	{"text found", "/v1/events?q=: the newest 100 of the last hour with a word that lies in one event of 600", 2, func(a *asked) (string, func([]byte) error) {
		return fmt.Sprintf("/v1/events?limit=100&from_ms=%d&q=%s", a.hour, rareText), func(b []byte) error {
			p, err := list[row](b, a.rare, a)
			return firstError(err, newestFirst(p.Items), holds(b, rareText, len(p.Items)))
		}
	}},
	{"text sought", "/v1/events?q=: all of the last hour is read for a word that lies in its oldest events alone", 1, askPlanted},
	{"spans of an agent", "/v1/spans?agent=: its newest 100", 2, askSpans},
	{"failed tools", "/v1/spans?type=tool&status=error: the newest 100 of all", 2, askFailed},
	{"runs", "/v1/runs: the newest 100 with their totals", 1, func(a *asked) (string, func([]byte) error) {
		return "/v1/runs?limit=100", func(b []byte) error {
			p, err := list[row](b, a.starts, a)
			return firstError(err, a.count("runs", p.total(), a.starts), p.each(func(r *row) bool { return r.Type == "run" }, "a run"))
		}
	}},
	{"series", "/v1/series/range: an hour of all metrics of an agent in 300 steps", 2, askSeries},
	{"past", "/v1/state?at=: the fleet at a random moment of the past", 1, askPast},
}

func askFleet(a *asked) (string, func([]byte) error) {
	return "/v1/fleet?space=main", func(b []byte) error {
		var f struct {
			Live  uint64 `json:"agents_live"`
			Ended uint64 `json:"agents_ended"`
		}
		err := json.Unmarshal(b, &f)
		return firstError(err, a.count("agents", f.Live+f.Ended, uint64(len(a.agents))))
	}
}

func askAttention(a *asked) (string, func([]byte) error) {
	return "/v1/attention?limit=1000", func(b []byte) error {
		var p page[struct {
			Kind  string   `json:"kind"`
			Agent agentRow `json:"agent"`
		}]
		if err := json.Unmarshal(b, &p); err != nil {
			return err
		}
		asked := map[string]bool{}
		for _, w := range p.Items {
			asked[w.Agent.ID] = asked[w.Agent.ID] || w.Kind == "asks"
		}
		for _, id := range a.asks {
			if !asked[id] {
				return fmt.Errorf("the question of %s is missing among %d", id, len(p.Items))
			}
		}
		return nil
	}
}

func askTeam(a *asked) (string, func([]byte) error) {
	team, _, _ := strings.Cut(a.agent(), "/")
	n := uint64(0)
	for id := range a.agents {
		if strings.HasPrefix(id, team+"/") {
			n++
		}
	}
	return "/v1/agents?limit=100&q=" + url.QueryEscape(team+"/"), func(b []byte) error {
		p, err := list[agentRow](b, n, nil)
		return firstError(err, exact("agents", p.total(), n), p.each(func(r *agentRow) bool { return strings.HasPrefix(r.ID, team+"/") }, "of "+team))
	}
}

func askAgent(a *asked) (string, func([]byte) error) {
	id := a.agent()
	return "/v1/agents/main/" + url.PathEscape(id), func(b []byte) error {
		var r struct {
			ID     string `json:"id"`
			Counts struct {
				Events uint64 `json:"events"`
			} `json:"counts"`
		}
		if err := json.Unmarshal(b, &r); err != nil {
			return err
		}
		if r.ID != id {
			return fmt.Errorf("the agent is %q", r.ID)
		}
		return exact("events", r.Counts.Events, a.agents[id].events)
	}
}

func askEvents(a *asked) (string, func([]byte) error) {
	id := a.agent()
	return "/v1/events?limit=100&agent=" + url.QueryEscape(id), func(b []byte) error {
		of := a.agents[id]
		p, err := list[row](b, of.events, nil)
		if err == nil && (p.Items[0].Type != of.last || p.Items[0].Span != of.lastOf) {
			err = fmt.Errorf("the newest is %+v, want a %s of span %q", p.Items[0], of.last, of.lastOf)
		}
		return firstError(err, exact("events", p.total(), of.events), newestFirst(p.Items), p.each(func(r *row) bool { return r.Agent == id }, "of "+id))
	}
}

func askRunEvents(a *asked) (string, func([]byte) error) {
	run := a.inRuns[a.rng.IntN(len(a.inRuns))]
	return "/v1/events?limit=100&run=" + run, func(b []byte) error {
		p, err := list[row](b, a.runs[run], nil)
		return firstError(err, newestFirst(p.Items), p.each(func(r *row) bool { return r.Run == run }, "of run "+run))
	}
}

// holds checks that every item has a text.
func holds(b []byte, text string, items int) error {
	if n := strings.Count(string(b), text); n < items {
		return fmt.Errorf("%q lies %d times in %d items", text, n, items)
	}
	return nil
}

func askPlanted(a *asked) (string, func([]byte) error) {
	return fmt.Sprintf("/v1/events?limit=100&from_ms=%d&q=%s", a.hour, plantedText), func(b []byte) error {
		p, err := list[row](b, uint64(len(a.planted)), nil)
		return firstError(err, newestFirst(p.Items), holds(b, plantedText, len(p.Items)), p.each(func(r *row) bool { return slices.Contains(a.planted, r.Agent) }, "planted"))
	}
}

func askSpans(a *asked) (string, func([]byte) error) {
	id := a.agent()
	return "/v1/spans?limit=100&agent=" + url.QueryEscape(id), func(b []byte) error {
		p, err := list[row](b, a.agents[id].spans, nil)
		return firstError(err, exact("spans", p.total(), a.agents[id].spans), p.each(func(r *row) bool { return r.Agent == id && r.Span != "" }, "a span of "+id))
	}
}

func askFailed(a *asked) (string, func([]byte) error) {
	return "/v1/spans?limit=100&type=tool&status=error", func(b []byte) error {
		p, err := list[row](b, a.failed, a)
		return firstError(err, a.count("spans", p.total(), a.failed), p.each(func(r *row) bool { return r.Type == "tool" && r.Status == "error" }, "a tool that failed"))
	}
}

func askSeries(a *asked) (string, func([]byte) error) {
	id := a.agent()
	return fmt.Sprintf("/v1/series/range?agent=%s&from_ms=%d&to_ms=%d&points=300", url.QueryEscape(id), a.hour, time.Now().UnixMilli()), func(b []byte) error {
		var l struct {
			Series []struct {
				Metric string     `json:"metric"`
				T      []int64    `json:"t"`
				Avg    []*float64 `json:"avg"`
			} `json:"series"`
		}
		if err := json.Unmarshal(b, &l); err != nil {
			return err
		}
		found := 0
		for _, s := range l.Series {
			if slices.Contains([]string{"latency_ms", "context_tokens", "queue", "calls"}, s.Metric) && len(s.T) > 0 && len(s.T) == len(s.Avg) {
				found++
			}
		}
		return exact("metrics", uint64(found), 4)
	}
}

func askPast(a *asked) (string, func([]byte) error) {
	at := 1 + a.rng.Uint64N(a.next-1)
	return fmt.Sprintf("/v1/state?space=main&at=offset:%d", at), func(b []byte) error {
		var s struct {
			Offset  uint64 `json:"offset"`
			Partial bool   `json:"partial"`
			Live    uint64 `json:"agents_live"`
		}
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		if s.Partial || s.Live > uint64(len(a.agents)) {
			return fmt.Errorf("the moment is partial: %v, with %d agents of %d", s.Partial, s.Live, len(a.agents))
		}
		return exact("offset", s.Offset, at)
	}
}
