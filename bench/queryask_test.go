package bench

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"eyrie/bench/workload"
	"eyrie/engine/wire"
)

// The books count what the events say.
func TestBooks(t *testing.T) {
	s := workload.NewStream(workload.Shape{Seed: 1, Agents: 13, Connections: 1, Frame: 1}, 0)
	b, events := newBooks(), map[string]uint64{}
	var v wire.View
	failed, rare, starts := uint64(0), uint64(0), uint64(0)
	for range 20_000 {
		p := s.Append(nil, 1)
		if err := b.note(&v, p); err != nil {
			t.Fatal(err)
		}
		text := string(p)
		for _, id := range s.Agents() {
			if strings.Contains(text, "agent\xae"+id) || strings.Contains(text, "agent\xaf"+id) {
				events[id]++
			}
		}
		if strings.Contains(text, "the call failed") {
			failed++
		}
		if strings.Contains(text, rareText) {
			rare++
		}
		if strings.Contains(text, "\xa3run\xa5agent") && strings.Contains(text, "start") {
			starts++
		}
	}
	if b.events != 20_000 || b.failed != failed || b.rare != rare || b.starts != starts || failed == 0 || rare == 0 || starts == 0 {
		t.Errorf("%d events, %d failed of %d, %d rare of %d, %d runs of %d", b.events, b.failed, failed, b.rare, rare, b.starts, starts)
	}
	sum := uint64(0)
	for id, a := range b.agents {
		if a.events != events[id] {
			t.Errorf("%s: %d events, want %d", id, a.events, events[id])
		}
		sum += a.events
	}
	if sum != b.events || len(b.agents) != 13 {
		t.Errorf("%d events of %d agents", sum, len(b.agents))
	}
	other := newBooks()
	if err := other.note(&v, planted("x", time.UnixMilli(1))); err != nil {
		t.Fatal(err)
	}
	if err := other.note(&v, asks("x", 3, time.UnixMilli(1))); err != nil {
		t.Fatal(err)
	}
	b.merge(other)
	if b.events != 20_002 || b.agents["x"].last != "ask" || b.agents["x"].lastOf != "ask-3" || b.agents["x"].spans != 1 {
		t.Errorf("%d events, %+v", b.events, b.agents["x"])
	}
}

// Each judge takes the right answer and refuses one that is short, wrong, out of
// order, partial or empty.
func TestJudges(t *testing.T) {
	b := newBooks()
	b.agents["team-00000/w01"] = &agentBook{events: 2, reports: 1, spans: 1, last: "tool", lastOf: "s9"}
	b.agents["team-00001/lead"] = &agentBook{events: 1}
	b.runs["r1"], b.starts, b.failed, b.rare = 2, 1, 1, 1
	b.planted, b.asks = []string{"team-00001/lead"}, []string{"team-00001/lead"}
	a := &asked{books: b, rng: rand.New(rand.NewPCG(1, 1)), some: []string{"team-00000/w01"}, inRuns: []string{"r1"}, next: 2}
	right := map[string]string{
		"fleet":              `{"agents_live":1,"agents_ended":1}`,
		"attention":          `{"items":[{"kind":"asks","agent":{"id":"team-00001/lead"}}]}`,
		"agents":             `{"items":[{"id":"team-00000/w01"},{"id":"team-00001/lead"}],"total":2}`,
		"agents by text":     `{"items":[{"id":"team-00000/w01"}],"total":1}`,
		"agents by cost":     `{"items":[{"id":"a","usage":{"cost_nanousd":7}},{"id":"b","usage":{"cost_nanousd":5}}],"total":2}`,
		"agent":              `{"id":"team-00000/w01","counts":{"events":2}}`,
		"events of an agent": `{"items":[{"offset":9,"agent":"team-00000/w01","type":"tool","span":"s9"},{"offset":3,"agent":"team-00000/w01","type":"llm"}],"total":2}`,
		"events of a run":    `{"items":[{"offset":9,"run":"r1"},{"offset":3,"run":"r1"}],"total":null}`,
		"text found":         `{"items":[{"offset":9,"error":{"code":"not_found"}}]}`,
		"text sought":        `{"items":[{"offset":1,"agent":"team-00001/lead","msg":"a quokka"}]}`,
		"spans of an agent":  `{"items":[{"span":"s9","agent":"team-00000/w01"}],"total":1}`,
		"failed tools":       `{"items":[{"span":"s9","type":"tool","status":"error"}],"total":1}`,
		"runs":               `{"items":[{"span":"r1","type":"run"}],"total":1}`,
		"series":             `{"series":[{"metric":"latency_ms","t":[1],"avg":[1]},{"metric":"context_tokens","t":[1],"avg":[1]},{"metric":"queue","t":[1],"avg":[1]},{"metric":"calls","t":[1],"avg":[1]}]}`,
		"past":               `{"offset":1,"partial":false,"agents_live":1}`,
	}
	wrong := map[string][]string{
		"fleet":              {`{}`, `{"agents_live":1}`, `{"agents_live":3}`},
		"attention":          {`{"items":[]}`, `{"items":[{"kind":"stuck","agent":{"id":"team-00001/lead"}}]}`},
		"agents":             {`{"items":[],"total":0}`, `{"items":[{"id":"a"},{"id":"b"}],"total":3}`, `{"items":[{"id":"a"},{"id":"b"}],"total":2,"partial":true}`},
		"agents by text":     {`{"items":[{"id":"team-00001/lead"}],"total":1}`, `{"items":[{"id":"team-00000/w01"}],"total":2}`},
		"agents by cost":     {`{"items":[{"id":"a","usage":{"cost_nanousd":5}},{"id":"b","usage":{"cost_nanousd":7}}],"total":2}`},
		"agent":              {`{"id":"x","counts":{"events":2}}`, `{"id":"team-00000/w01","counts":{"events":1}}`},
		"events of an agent": {`{"items":[],"total":2}`, strings.Replace(right["events of an agent"], `"span":"s9"`, `"span":"s8"`, 1), strings.Replace(right["events of an agent"], `"offset":3`, `"offset":30`, 1), strings.Replace(right["events of an agent"], `"total":2`, `"total":3`, 1)},
		"events of a run":    {`{"items":[{"offset":9,"run":"r1"}]}`, `{"items":[{"offset":9,"run":"r1"},{"offset":3,"run":"r2"}]}`},
		"text found":         {`{"items":[{"offset":9}]}`, `{"items":[]}`},
		"text sought":        {`{"items":[]}`, `{"items":[{"offset":1,"agent":"x","msg":"a quokka"}]}`},
		"spans of an agent":  {`{"items":[{"span":"s9","agent":"x"}],"total":1}`, `{"items":[{"span":"s9","agent":"team-00000/w01"}],"total":2}`},
		"failed tools":       {`{"items":[{"span":"s9","type":"tool","status":"ok"}],"total":1}`},
		"runs":               {`{"items":[{"span":"r1","type":"task"}],"total":1}`, `{"items":[],"total":0}`},
		"series":             {`{"series":[]}`, strings.Replace(right["series"], `"t":[1]`, `"t":[]`, 1)},
		"past":               {`{"offset":2,"agents_live":1}`, `{"offset":1,"partial":true}`, `{"offset":1,"agents_live":3}`},
	}
	for _, q := range questions {
		path, judge := q.ask(a)
		if !strings.HasPrefix(path, "/v1/") {
			t.Errorf("%s: it asks %s", q.name, path)
		}
		if err := judge([]byte(right[q.name])); err != nil {
			t.Errorf("%s: the right answer: %v", q.name, err)
		}
		for _, w := range append(wrong[q.name], "", "null", "[1") {
			if judge([]byte(w)) == nil {
				t.Errorf("%s: %q is taken", q.name, w)
			}
		}
	}
	a.grows = true
	i := slices.IndexFunc(questions, func(q question) bool { return q.name == "fleet" })
	_, judge := questions[i].ask(a)
	if err := judge([]byte(`{"agents_live":30}`)); err != nil {
		t.Errorf("more agents beside a load: %v", err)
	}
	if judge([]byte(`{"agents_live":1}`)) == nil {
		t.Error("fewer agents beside a load are taken")
	}
	if got := every([]string{"a", "b", "c", "d"}, 2); fmt.Sprint(got) != "[a c]" {
		t.Errorf("two of four: %v", got)
	}
}
