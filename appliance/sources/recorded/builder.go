package recorded

import (
	"fmt"
	"strings"
	"time"

	"eyrie/appliance/sources"
	"eyrie/engine/wire"
)

// epoch is where a recording without times begins. Replay moves it to now.
var epoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()

const (
	textBytesMax  = 8 << 10
	nameBytesMax  = 96
	titleBytesMax = 96
)

// builder collects the events of one recording.
type builder struct {
	name   string
	format Format
	events []wire.Event
	now    int64 // the made-up clock
	agents map[string]bool
	states map[string]string
	run    string
	n      int // spans so far
}

// add appends an event at the made-up clock.
func (b *builder) add(e wire.Event) {
	if b.now == 0 {
		b.now = epoch
	}
	e.TS, e.TSFrom = b.now, "estimated"
	b.put(e)
}

// put appends an event that has its own time.
func (b *builder) put(e wire.Event) {
	if e.Run == "" {
		e.Run = b.run
	}
	e.Session = b.name
	b.events = append(b.events, e)
}

// pass lets seconds go by.
func (b *builder) pass(seconds float64) {
	if b.now == 0 {
		b.now = epoch
	}
	b.now += int64(max(0.05, min(seconds, 600)) * 1e9)
}

// speaking is how long a model takes for a text: made up, about 60 tokens a second after a second and a half.
func speaking(text string) float64 { return min(1.5+float64(len(text))/240, 25) }

// agent declares an agent on first sight and returns its id.
func (b *builder) agent(role, manager string) string {
	id := b.name
	if role != "" {
		id += "." + slug(role)
	}
	if b.agents[id] {
		return id
	}
	if b.agents == nil {
		b.agents, b.states = map[string]bool{}, map[string]string{}
	}
	b.agents[id] = true
	name := string(b.format)
	if role == "" {
		role = "agent"
	} else {
		name += ":" + role
	}
	b.add(wire.Event{Type: wire.TypeAgent, Agent: id, Name: sources.Cut(name, nameBytesMax), Role: sources.Cut(role, nameBytesMax),
		Manager: manager, Host: "recorded", Labels: map[string]string{"source": "recorded", "recording": b.name, "format": string(b.format)}})
	return id
}

func (b *builder) state(agent, state, on, msg string) {
	if k := state + on; b.states[agent] != k {
		b.states[agent] = k
		b.add(wire.Event{Type: wire.TypeState, Agent: agent, Msg: msg, State: &wire.State{State: state, On: on, By: "agent"}})
	}
}

func (b *builder) say(agent, kind, text, parent string) {
	if strings.TrimSpace(text) != "" {
		b.add(wire.Event{Type: wire.TypeMessage, Agent: agent, Kind: kind, Parent: parent, Msg: sources.Cut(text, textBytesMax)})
	}
}

// open starts a span and returns its end, to be filled in and given to close.
func (b *builder) open(e wire.Event) wire.Event {
	b.n++
	if e.Span == "" {
		e.Span = fmt.Sprintf("%s-%s-%d", b.name, e.Type, b.n)
	}
	if e.Type == wire.TypeRun {
		b.run = e.Span
	}
	e.Phase = wire.PhaseStart
	b.add(e)
	e.Phase, e.Start, e.Input = wire.PhaseEnd, b.now, nil
	e.Status = wire.StatusOK
	return e
}

func (b *builder) close(e wire.Event) {
	d := float64(b.now-e.Start) / 1e6
	e.DurMs = &d
	b.add(e)
}

func fail(e *wire.Event, code, msg string) {
	e.Status, e.Severity = wire.StatusError, wire.SeverityWarn
	e.Error = &wire.Error{Code: code, Msg: sources.Cut(msg, 512)}
}

// think adds a model call that says text.
func (b *builder) think(agent, parent, model, kind, text string, usage *wire.Usage, seconds float64) {
	if model == "" {
		model = "unknown model"
	}
	e := b.open(wire.Event{Type: wire.TypeLLM, Agent: agent, Parent: parent, Name: model})
	if seconds == 0 {
		seconds = speaking(text)
	}
	b.pass(seconds)
	e.Usage = usage
	b.close(e)
	b.say(agent, kind, text, parent)
}

func outputFailed(text string) (string, bool) {
	head := text[:min(len(text), 400)]
	for _, bad := range []struct{ mark, code string }{
		{"exitcode: 1", "exit_code"}, {"exitcode: 2", "exit_code"}, {"Traceback (most recent call last)", "exception"},
		{"introduced new syntax error", "syntax_error"}, {"unknown language", "unknown_language"},
	} {
		if strings.Contains(head, bad.mark) {
			return bad.code, true
		}
	}
	return "", false
}
