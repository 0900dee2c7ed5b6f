package recorded

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"eyrie/appliance/sources"
	"eyrie/engine/wire"
)

// whoWhen is a failed run of several agents, with a person's label of the step that caused the failure.
type whoWhen struct {
	Question string `json:"question"`
	History  []struct {
		Content string `json:"content"`
		Role    string `json:"role"`
		Name    string `json:"name"`
	} `json:"history"`
	MistakeAgent  string          `json:"mistake_agent"`
	MistakeStep   json.RawMessage `json:"mistake_step"`
	MistakeReason string          `json:"mistake_reason"`
}

// terminal are the speakers that run code instead of a model.
var terminal = map[string]bool{"Computer_terminal": true, "ComputerTerminal": true}

func (b *builder) whoAndWhen(data []byte) error {
	var r whoWhen
	if err := json.Unmarshal(data, &r); err != nil {
		return err
	}
	if len(r.History) == 0 {
		return fmt.Errorf("the history is empty")
	}
	// In the one kind an orchestrator delegates every step, in the other a group talks in turn.
	lead := "Orchestrator"
	if name := r.History[0].Name; name != "" {
		lead = name
	}
	chief := b.agent(lead, "")
	run := b.open(wire.Event{Type: wire.TypeRun, Agent: chief, Name: sources.Title(r.Question, titleBytesMax), Input: sources.Cut(r.Question, textBytesMax)})
	b.state(chief, "running", "", "")
	var task *wire.Event // delegated and not answered
	step := 0
	speaker := chief
	end := func(failed bool) {
		if task != nil {
			if failed {
				task.Status = wire.StatusUnknown
			}
			b.close(*task)
			b.state(task.To[0], "idle", "", "")
			task = nil
		}
	}
	mistake := strings.Trim(string(r.MistakeStep), `"`)
	for i, h := range r.History {
		role, what, _ := strings.Cut(h.Role, " (")
		switch {
		case i == 0 && h.Name != "" || h.Role == "human":
			b.say(chief, "instruction", h.Content, run.Span)
		case strings.HasPrefix(what, "-> "):
			end(true)
			worker := b.agent(strings.TrimSuffix(what[len("-> "):], ")"), chief)
			b.think(chief, run.Span, "", "instruction", h.Content, nil, 0)
			t := b.open(wire.Event{Type: wire.TypeTask, Agent: chief, Parent: run.Span, To: []string{worker}, Name: sources.Title(h.Content, titleBytesMax)})
			t.Task = t.Span
			task = &t
			b.state(chief, "waiting", "agent", "")
			b.state(worker, "running", "", "")
		case role == "Orchestrator":
			b.state(chief, "running", "", "")
			b.think(chief, run.Span, "", "thought", h.Content, nil, 0)
		default:
			name := h.Name
			if name == "" {
				name = role
			}
			b.turn(name, h.Content, run.Span, chief, &speaker, task)
			if task != nil {
				end(false)
				b.state(chief, "running", "", "")
			}
		}
		b.add(wire.Event{Type: wire.TypeMetrics, Agent: speaker, Name: "conversation", Metrics: map[string]float64{"messages": float64(i + 1), "message_bytes": float64(len(h.Content))}})
		if strconv.Itoa(step) == mistake {
			agent := chief
			if r.MistakeAgent != lead {
				agent = b.agent(r.MistakeAgent, managerOf(lead, chief))
			}
			b.add(wire.Event{Type: wire.TypeNote, Agent: agent, Kind: "label", Name: "cause of the failure", Severity: wire.SeverityWarn,
				Msg: sources.Cut(r.MistakeReason, textBytesMax), Step: int64(step), Attrs: map[string]any{"by": "person"}})
		}
		step++
	}
	end(true)
	fail(&run, "wrong_answer", r.MistakeReason)
	run.Severity = wire.SeverityError
	b.close(run)
	b.state(chief, "failed", "", sources.Cut(r.MistakeReason, 512))
	return nil
}

func managerOf(lead, chief string) string {
	if lead == "Orchestrator" {
		return chief
	}
	return ""
}

// turn is what one of the group, or a worker, says or runs.
func (b *builder) turn(name, text, run, chief string, speaker *string, task *wire.Event) {
	parent := run
	agent := *speaker
	if task != nil {
		parent, agent = task.Span, task.To[0]
	}
	if terminal[name] {
		e := b.open(wire.Event{Type: wire.TypeTool, Agent: agent, Parent: parent, Name: "terminal"})
		b.state(agent, "waiting", "tool", "")
		b.pass(0.5 + float64(len(text))/4000)
		e.Output = sources.Cut(text, textBytesMax)
		if code, bad := outputFailed(text); bad {
			fail(&e, code, sources.Title(text, 256))
		}
		b.close(e)
		b.state(agent, "running", "", "")
		return
	}
	if task == nil {
		agent = b.agent(name, "")
		if agent != *speaker {
			b.state(*speaker, "idle", "", "")
		}
	}
	*speaker = agent
	b.state(agent, "running", "", "")
	b.think(agent, parent, "", "text", text, nil, 0)
}
