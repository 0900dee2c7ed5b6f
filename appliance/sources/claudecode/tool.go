package claudecode

import (
	"encoding/json"
	"math"

	"eyrie/engine/wire"
)

// tool is one call of a tool.
type tool struct {
	name  string
	actor *actor
	start int64
	ended bool
	beats int // updates sent while it ran
	ask   string
}

// The tools that put a question to a person, by the kind of question.
var asks = map[string]string{"AskUserQuestion": "question", "ExitPlanMode": "review"}

var person = []string{"person"}

// beatSeconds: a tool that runs long says so this often.
const beatSeconds = 10

func (a *actor) startTool(b *block, at stamp) {
	s := a.s
	if b.ID == "" || s.tools[b.ID] != nil && s.tools[b.ID].start != 0 {
		return // read before, from another file
	}
	t := s.tools[b.ID]
	if t == nil {
		t = &tool{}
		s.tools[b.ID] = t
	}
	t.name, t.actor, t.start = b.Name, a, max(at.ns, 1)
	e := a.event(wire.TypeTool, at)
	e.Phase, e.Span, e.Parent, e.Name = wire.PhaseStart, bounded(b.ID), a.parent(), cut(b.Name, nameBytesMax)
	s.f.arguments(&e, b.Input)
	s.f.emit(e)
	switch kind := asks[b.Name]; {
	case b.Name == "Task" || b.Name == "Agent":
		a.delegate(b, at)
	case kind != "" && !t.ended:
		t.ask = bounded("ask:" + b.ID)
		e := a.event(wire.TypeAsk, at)
		e.Phase, e.Span, e.Parent, e.Name, e.Kind = wire.PhaseStart, t.ask, bounded(b.ID), cut(b.Name, nameBytesMax), kind
		e.To = person
		s.f.arguments(&e, b.Input)
		s.f.emit(e)
		a.setState("waiting", "person", kind, at)
	}
}

func (a *actor) endTool(r *record, b *block, at stamp) {
	s := a.s
	t := s.tools[b.ToolUseID]
	if b.ToolUseID == "" || t != nil && t.ended {
		return
	}
	if t == nil { // its start is in no file: the end is shown as it is
		t = &tool{actor: a}
		s.tools[b.ToolUseID] = t
	}
	a.introduce(at)
	t.ended = true
	text := textOf(b.Content)
	o := toolOutcome(b.IsError, text)
	e := t.actor.event(wire.TypeTool, at)
	e.Phase, e.Span, e.Parent, e.Name, e.Status = wire.PhaseEnd, bounded(b.ToolUseID), t.actor.parent(), cut(t.name, nameBytesMax), o.status
	if t.start != 0 {
		d := msBetween(t.start, at.ns)
		e.Start, e.DurMs = t.start, &d
	}
	if o.code != "" {
		s.f.fail(&e, o)
		if o.code == "exit_code" {
			setAttr(&e, "exit_code", o.exit)
		}
	}
	s.f.result(&e, text)
	s.f.emit(e)
	t.askEnded(b.ToolUseID, o, at)
	if k := s.tasks[b.ToolUseID]; k != nil {
		k.returned(r, text, o, at)
	}
	if a.state == "waiting" && a.on != "model" && a.on != "quota" {
		a.setState("running", "", "", at)
	}
}

// askEnded shows the question that ended with the call: one the tool put, or the permission that a refusal proves.
func (t *tool) askEnded(id string, o outcome, at stamp) {
	a := t.actor
	if t.ask == "" && o.code != "refused_by_person" {
		return
	}
	e := a.event(wire.TypeAsk, at)
	e.Parent, e.Name, e.Kind, e.To, e.Status, e.Start = bounded(id), cut(t.name, nameBytesMax), asks[t.name], person, o.status, t.start
	d := msBetween(t.start, at.ns)
	if t.start != 0 {
		e.DurMs = &d
	}
	if e.Span = t.ask; e.Span != "" {
		e.Phase = wire.PhaseEnd
	} else {
		e.Span, e.Kind = bounded("ask:"+id), "permission"
	}
	if o.code != "" {
		a.s.f.fail(&e, o)
	}
	a.s.f.emit(e)
}

// beat shows that a long call is alive, once every beatSeconds of its own clock.
func (s *session) beat(id string, p *progress, at stamp) {
	t := s.tools[id]
	n := int(math.Min(p.Elapsed, 1e9)) / beatSeconds
	if t == nil || t.ended || n <= t.beats {
		s.f.ignored["progress/"+p.Type]++
		return
	}
	t.beats = n
	e := t.actor.event(wire.TypeTool, at)
	e.Phase, e.Span, e.Parent, e.Name = wire.PhaseUpdate, bounded(id), t.actor.parent(), cut(t.name, nameBytesMax)
	e.Attrs = map[string]any{"elapsed_s": p.Elapsed, "output_lines": p.TotalLines}
	s.f.emit(e)
}

func setAttr(e *wire.Event, name string, v any) {
	if e.Attrs == nil {
		e.Attrs = map[string]any{}
	}
	e.Attrs[name] = v
}

// launchOf reads what a Task call's result says beside its text.
func launchOf(raw json.RawMessage) (launch, bool) {
	var l launch
	if len(raw) == 0 || raw[0] != '{' || json.Unmarshal(raw, &l) != nil {
		return launch{}, false
	}
	return l, true
}
