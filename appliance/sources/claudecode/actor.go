package claudecode

import (
	"strings"

	"eyrie/engine/wire"
)

// actor is an agent: a session's own or a worker.
type actor struct {
	s        *session
	id       string
	worker   bool
	declared bool
	stale    bool // the declaration changed
	role     string
	model    string
	task     *task // a worker's latest
	call     *call // the model call whose records are being read
	calls    map[string]usage
	texts    map[uint64]struct{}
	input    int64    // time of the last record that a model call answers
	last     int64    // time of the last record
	prompts  []uint64 // hashes of what a worker was told
	answered bool     // the last thing said was text, not a call
	state    string
	on       string
}

func newActor(s *session, id string) *actor {
	return &actor{s: s, id: id, calls: map[string]usage{}, texts: map[uint64]struct{}{}}
}

// event begins an event of this agent.
func (a *actor) event(t wire.Type, at stamp) wire.Event {
	e := wire.Event{Type: t, Agent: a.id, Session: bounded(a.s.id), TS: at.ns}
	if at.estimated {
		e.TSFrom = "estimated"
	}
	if a.s.run != nil {
		e.Run = a.s.run.id
	} else {
		e.Run = a.s.lastRun
	}
	if a.worker && a.task != nil {
		e.Task = a.task.span
	}
	return e
}

// parent is the span that this agent's work belongs to.
func (a *actor) parent() string {
	if a.worker {
		if a.task != nil {
			return a.task.span
		}
		return ""
	}
	if a.s.run != nil {
		return a.s.run.id
	}
	return a.s.lastRun
}

func (a *actor) declare(role, name, manager string, at stamp) {
	e := a.event(wire.TypeAgent, at)
	e.Name, e.Role, e.Manager, e.Host = name, role, manager, a.s.f.o.Host
	e.Version, e.Model, e.Labels = a.s.version, a.model, a.s.labels()
	a.declared, a.role = true, role
	a.s.f.emit(e)
}

// introduce declares the agent before its first event.
func (a *actor) introduce(at stamp) {
	if !a.worker {
		a.s.declare(at)
		return
	}
	if a.declared && !a.stale && (a.task == nil || a.task.role == a.role) {
		return
	}
	a.stale = false
	role, manager := "worker", a.s.main.id
	if a.task != nil {
		role, manager = a.task.role, a.task.from.id
	}
	first := !a.declared
	a.declare(role, a.s.name()+"/"+role, manager, at)
	if first && a.working() {
		a.setState("running", "", "", at)
	}
}

// setState says the agent's state when it changed.
func (a *actor) setState(state, on, msg string, at stamp) {
	if a.state == state && a.on == on {
		return
	}
	a.state, a.on = state, on
	e := a.event(wire.TypeState, at)
	e.State, e.Msg = &wire.State{State: state, On: on, By: "fold"}, msg
	a.s.f.emit(e)
}

// saw keeps the agent's clock: records come out of order.
func (a *actor) saw(at stamp) { a.last = max(a.last, at.ns) }

// message begins a message event. The caller emits it.
func (a *actor) message(kind, text string, at stamp) wire.Event {
	e := a.event(wire.TypeMessage, at)
	e.Kind = kind
	e.Parent = a.parent()
	a.s.f.say(&e, text)
	return e
}

// record takes in a user or assistant record.
func (a *actor) record(r *record, at stamp) {
	if r.Message == nil {
		a.s.f.ignored[r.Type+"/empty"]++
		return
	}
	bs := r.Message.blocks()
	if len(bs) > 8 {
		a.s.f.limit = max(1024, lineBytesMax/len(bs))
	}
	if r.Type == "assistant" {
		a.assistant(r, bs, at)
	} else {
		a.user(r, bs, at)
	}
	a.saw(at)
}

func (a *actor) assistant(r *record, bs []block, at stamp) {
	synthetic := r.Message.Model == "<synthetic>"
	if m := r.Message.Model; m != "" && !synthetic && m != a.model {
		a.model = m
		if a.worker {
			a.stale = true
		} else {
			a.s.stale = true
		}
	}
	a.introduce(at)
	if !a.worker && (!synthetic || r.IsAPIErrorMessage) {
		a.s.openRun(r.UUID, at)
	}
	if !synthetic && a.state != "running" && !(a.state == "waiting" && a.on == "person") && (!a.worker || a.working()) {
		a.setState("running", "", "", at)
	}
	a.heard(r, bs, at)
	for i := range bs {
		b := &bs[i]
		switch b.Type {
		case "text":
			a.said("text", r, b.Text, at)
			a.answered = true
		case "thinking":
			a.said("thought", r, b.Thinking, at)
		case "tool_use":
			a.answered = false
			a.startTool(b, at)
		case "redacted_thinking":
		default:
			a.s.f.ignored["block/"+b.Type]++
		}
	}
}

// working reports whether a worker's task has not ended: records read late do not wake it again.
func (a *actor) working() bool { return a.task == nil || !a.task.ended }

// said emits a text of the model, once, although two files may hold it.
func (a *actor) said(kind string, r *record, text string, at stamp) {
	if strings.TrimSpace(text) == "" || !a.fresh(r.Message.ID, kind, text) {
		return
	}
	a.s.f.emit(a.message(kind, text, at))
}

func (a *actor) fresh(parts ...string) bool {
	k := key(parts...)
	if _, ok := a.texts[k]; ok {
		return false
	}
	a.texts[k] = struct{}{}
	return true
}

func (a *actor) user(r *record, bs []block, at stamp) {
	results := false
	for i := range bs {
		if bs[i].Type == "tool_result" {
			results = true
			a.input = max(a.input, at.ns)
			a.endTool(r, &bs[i], at)
		}
	}
	for i := range bs {
		switch bs[i].Type {
		case "tool_result":
		case "text":
			a.heardText(r, bs[i].Text, results, at)
		default:
			a.s.f.ignored["block/"+bs[i].Type]++
		}
	}
}

// heardText takes in a text that a person, a manager or Claude Code put to the agent.
func (a *actor) heardText(r *record, text string, aside bool, at stamp) {
	if strings.TrimSpace(text) == "" {
		return
	}
	if a.worker {
		a.instructed(text, at)
		return
	}
	s := a.s
	s.declare(at)
	if r.IsCompactSummary {
		e := a.message("summary", text, at)
		e.Attrs = map[string]any{"from": "program"}
		s.f.emit(e)
		return
	}
	switch kind := classify(text); {
	case kind == textInterrupted:
		a.endCall()
		s.endRun(at, wire.StatusInterrupted, 0, "interrupted")
	case kind == textOutput:
		s.f.ignored["user/output"]++
	case r.IsMeta:
		a.input = max(a.input, at.ns)
		e := a.message("instruction", text, at)
		e.Attrs = map[string]any{"from": "program"}
		s.f.emit(e)
	case aside:
		e := a.message("instruction", text, at)
		e.Attrs = map[string]any{"from": "person"}
		s.f.emit(e)
	case kind == textShell:
		e := a.message("instruction", text, at)
		e.Attrs = map[string]any{"from": "person", "shell": true}
		s.f.emit(e)
	default:
		a.endCall()
		a.input = at.ns
		s.prompted(r.UUID, text, kind, at)
	}
}

// instructed takes in what a worker was told by its manager: the task's prompt, or more.
func (a *actor) instructed(text string, at stamp) {
	if strings.HasPrefix(text, interruptedText) {
		a.endCall()
		a.introduce(at)
		if a.working() {
			a.setState("idle", "", "interrupted", at)
		}
		return
	}
	a.input = max(a.input, at.ns)
	if a.task == nil {
		for _, t := range a.s.order {
			if t.worker == nil && t.prompt == key(text) {
				t.bind(a, at)
				break
			}
		}
	}
	a.prompts = append(a.prompts, key(text))
	a.introduce(at)
	if !a.fresh("", "instruction", text) {
		return
	}
	e := a.message("instruction", text, at)
	e.Attrs = map[string]any{"from": "agent"}
	a.s.f.emit(e)
}
