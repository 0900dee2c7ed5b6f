package claudecode

import (
	"strings"

	"eyrie/engine/wire"
)

// run is one prompt on its way to the answer. Its id and its span's id are the prompt record's uuid.
type run struct {
	id    string
	start int64
}

// prompt was typed; a run starts with it when the model answers.
type prompt struct {
	uuid, text string
	at         stamp
}

type textKind uint8

const (
	textPrompt textKind = iota
	textCommand
	textShell
	textOutput
	textInterrupted
	textNotification
)

const notification = "<task-notification>"

// classify tells what a text in a user record is: Claude Code writes more there than what a person typed.
func classify(text string) textKind {
	text = strings.TrimSpace(text)
	switch {
	case strings.HasPrefix(text, interruptedText):
		return textInterrupted
	case strings.HasPrefix(text, notification):
		return textNotification
	case strings.HasPrefix(text, "<command-name>"), strings.HasPrefix(text, "<command-message>"):
		return textCommand
	case strings.HasPrefix(text, "<bash-input>"):
		return textShell
	case strings.HasPrefix(text, "<local-command-"), strings.HasPrefix(text, "<bash-stdout>"), strings.HasPrefix(text, "<bash-stderr>"):
		return textOutput
	}
	return textPrompt
}

// prompted takes in a text that asks for an answer.
func (s *session) prompted(uuid, text string, kind textKind, at stamp) {
	if kind == textNotification {
		s.notified(text, at)
	}
	if kind == textCommand {
		// It may be a command that only Claude Code itself answers: a run starts when the model does.
		s.pending = &prompt{uuid: uuid, text: text, at: at}
		return
	}
	s.startRun(prompt{uuid: uuid, text: text, at: at}, at, "")
	from := "person"
	if kind == textNotification {
		from = "program"
	}
	k := key(text)
	if _, ok := s.queued[k]; ok {
		delete(s.queued, k) // it was shown when it was queued
		return
	}
	e := s.main.message("instruction", text, at)
	e.Attrs = map[string]any{"from": from}
	s.f.emit(e)
}

// openRun makes sure that the model's answer belongs to a run: of the command typed before, else one that
// continues the last.
func (s *session) openRun(uuid string, at stamp) {
	if s.run != nil {
		return
	}
	if p := s.pending; p != nil {
		s.startRun(*p, at, "")
		e := s.main.message("instruction", p.text, p.at)
		e.Attrs = map[string]any{"from": "person", "command": true}
		s.f.emit(e)
		return
	}
	s.startRun(prompt{uuid: uuid, at: at}, at, s.lastRun)
}

// startRun begins a run at p; continues names the run that it goes on with, if any.
func (s *session) startRun(p prompt, at stamp, continues string) {
	if s.run != nil {
		status := wire.StatusUnknown
		if s.main.answered {
			status = wire.StatusOK
		}
		s.endRun(stamp{ns: max(s.main.last, s.run.start)}, status, 0, "inferred")
	}
	s.pending = nil
	id := p.uuid
	if id == "" {
		id = "run-" + hash(s.id, p.text, s.lastRun)
	}
	s.run = &run{id: bounded(id), start: p.at.ns}
	e := s.main.event(wire.TypeRun, at)
	e.Phase, e.Span, e.Start = wire.PhaseStart, s.run.id, p.at.ns
	e.Name = "prompt"
	switch {
	case p.text == "":
		e.Name = "continued"
	case strings.HasPrefix(p.text, notification):
		e.Name = "task notification"
	case classify(p.text) == textCommand:
		e.Name = commandName(p.text)
	case s.f.full():
		e.Name = s.f.title(p.text)
	}
	if continues != "" {
		e.Links = []wire.Link{{Span: continues, Kind: "continues"}}
	}
	s.f.emit(e)
	s.main.answered = false
	s.main.setState("running", "", "", at)
}

// endRun ends the run in hand, if one is.
func (s *session) endRun(at stamp, status wire.Status, durMs float64, by string) {
	r := s.run
	if r == nil {
		return
	}
	e := s.main.event(wire.TypeRun, at)
	e.Phase, e.Span, e.Status, e.Start = wire.PhaseEnd, r.id, status, r.start
	if durMs == 0 {
		durMs = msBetween(r.start, at.ns)
	}
	e.DurMs = &durMs
	e.Attrs = map[string]any{"ended_by": by}
	s.f.emit(e)
	s.lastRun, s.run = r.id, nil
	s.main.setState("idle", "", "", at)
}

// commandName is the slash command of a command text.
func commandName(text string) string {
	_, rest, ok := strings.Cut(text, "<command-name>")
	if !ok {
		return "command"
	}
	name, _, _ := strings.Cut(rest, "<")
	return "/" + strings.TrimPrefix(cut(strings.TrimSpace(name), nameBytesMax), "/")
}

func msBetween(from, to int64) float64 { return max(0, float64(to-from)/1e6) }
