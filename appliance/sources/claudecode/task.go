package claudecode

import (
	"encoding/json"
	"strings"

	"eyrie/engine/wire"
)

// task is work that a Task call delegates to a worker.
type task struct {
	s          *session
	span       string
	tool       string // the Task call
	name, role string
	prompt     uint64 // hash of what the worker was told
	from       *actor
	worker     *actor
	agent      string // the worker's id in the transcript, known before its records are
	start      int64
	background bool
	ended      bool
}

func (a *actor) delegate(b *block, at stamp) {
	s := a.s
	var d delegation
	_ = json.Unmarshal(b.Input, &d) // a field of the wrong type stays empty
	t := &task{s: s, span: bounded("task:" + b.ID), tool: b.ID, from: a, prompt: key(d.Prompt), start: at.ns, background: d.Background}
	t.role = cut(strings.TrimSpace(d.SubagentType), nameBytesMax)
	if t.role == "" {
		t.role = "worker"
	}
	t.name = t.role
	if s.f.full() && d.Description != "" {
		t.name = s.f.title(d.Description)
	}
	s.tasks[b.ID] = t
	s.order = append(s.order, t)
	// The worker's own file may have been read before this call.
	var early *actor
	for _, w := range s.workers {
		if w.task == nil && d.Prompt != "" && w.told(t.prompt) && (early == nil || w.id < early.id) {
			early = w
		}
	}
	if d.Resume != "" {
		early = s.worker(d.Resume)
	}
	if early != nil {
		t.worker, early.task = early, t
	}
	e := t.event(wire.PhaseStart, at)
	if t.background {
		e.Attrs = map[string]any{"background": true}
	}
	s.f.emit(e)
	if early != nil {
		early.introduce(at)
	}
}

// event begins an event of the task; it is the manager's.
func (t *task) event(p wire.Phase, at stamp) wire.Event {
	e := t.from.event(wire.TypeTask, at)
	e.Phase, e.Span, e.Parent, e.Task, e.Name = p, t.span, bounded(t.tool), t.span, t.name
	if t.worker != nil {
		e.To = []string{t.worker.id}
	}
	return e
}

// bind says who does the task.
func (t *task) bind(a *actor, at stamp) {
	if t.worker == a {
		return
	}
	t.worker = a
	if a.task == nil || a.task.ended {
		a.task = t
	}
	t.s.f.emit(t.event(wire.PhaseUpdate, at))
	a.introduce(at)
	if !t.ended {
		a.setState("running", "", "", at)
	}
}

// returned takes in the result of the Task call.
func (t *task) returned(r *record, text string, o outcome, at stamp) {
	l, _ := launchOf(r.ToolUseResult)
	if l.AgentID != "" {
		t.agent = l.AgentID
		t.bind(t.s.worker(l.AgentID), at)
	}
	if l.Status == "async_launched" {
		t.background = true
		return // it goes on; a notification tells the end
	}
	if o.status == wire.StatusOK {
		// The call completed; whether the worker did its work is another matter.
		answer := text
		if bs := blocksOf(rawField(r.ToolUseResult, "content")); len(bs) > 0 {
			answer = bs[0].Text
		}
		o = answerOutcome(answer)
	}
	t.end(o, l, text, at)
}

func (t *task) end(o outcome, l launch, text string, at stamp) {
	if t.ended {
		return
	}
	if t.worker != nil {
		t.worker.endCall()
	}
	t.ended = true
	e := t.event(wire.PhaseEnd, at)
	e.Status, e.Start = o.status, t.start
	d := msBetween(t.start, at.ns)
	e.DurMs = &d
	if o.code != "" {
		t.s.f.fail(&e, o)
		if o.status == wire.StatusError {
			e.Severity = wire.SeverityError
		}
	}
	if l.TotalDurationMs > 0 {
		setAttr(&e, "worker_ms", l.TotalDurationMs)
		setAttr(&e, "worker_tool_calls", l.TotalToolUseCount)
		setAttr(&e, "last_call_tokens", l.TotalTokens)
	}
	if t.background {
		setAttr(&e, "background", true)
	}
	t.s.f.result(&e, text)
	t.s.f.emit(e)
	if t.worker == nil || t.worker.task != t {
		return
	}
	switch o.status {
	case wire.StatusOK:
		t.worker.setState("done", "", "", at)
	case wire.StatusError, wire.StatusTimeout:
		t.worker.setState("failed", "", o.code, at)
	default:
		t.worker.setState("done", "", o.code, at)
	}
}

// notified takes in a notification that something in the background ended. It is written twice: when it is
// queued and when the agent is told.
func (s *session) notified(text string, at stamp) {
	id, status := tag(text, "task-id"), tag(text, "status")
	if id == "" {
		return
	}
	var t *task
	for _, k := range s.order {
		if k.agent == id {
			t = k
		}
	}
	if t == nil { // a command in the background
		s.f.ignored["task-notification"]++
		return
	}
	o := outcome{status: wire.StatusOK}
	switch status {
	case "completed", "":
		o = answerOutcome(tag(text, "result"))
	case "failed":
		o = outcome{status: wire.StatusError, code: "worker_failed", msg: "the worker failed"}
	case "killed", "stopped", "cancelled":
		o = outcome{status: wire.StatusCancelled, code: "stopped", msg: "the worker was stopped"}
	}
	t.end(o, launch{}, text, at)
}

// tag returns what stands between <name> and </name>; to the end when the text was cut before that.
func tag(text, name string) string {
	_, rest, ok := strings.Cut(text, "<"+name+">")
	if !ok {
		return ""
	}
	v, _, _ := strings.Cut(rest, "</"+name+">")
	return strings.TrimSpace(v)
}

// told reports whether the worker was given that prompt.
func (a *actor) told(prompt uint64) bool {
	for _, p := range a.prompts {
		if p == prompt {
			return true
		}
	}
	return false
}

func rawField(raw json.RawMessage, name string) json.RawMessage {
	var m map[string]json.RawMessage
	if len(raw) == 0 || raw[0] != '{' || json.Unmarshal(raw, &m) != nil {
		return nil
	}
	return m[name]
}
