package recorded

import (
	"encoding/json"
	"strings"

	"eyrie/appliance/sources"
	"eyrie/engine/wire"
)

// handStep is one step of an OpenHands trajectory. Its durations are measured, its instants are not recorded.
type handStep struct {
	User  *string `json:"user_message"`
	Agent struct {
		Thought string  `json:"thought"`
		Action  *string `json:"action"`
		Name    string  `json:"agent_name"`
	} `json:"agent"`
	Environment *string `json:"environment"`
	Usage       struct {
		Input     int64   `json:"input_tokens"`
		Output    int64   `json:"output_tokens"`
		Model     string  `json:"model"`
		Cost      float64 `json:"cost"`               // dollars
		Inference float64 `json:"llm_inference_time"` // seconds
		Execution float64 `json:"step_execution_time"`
	} `json:"step_usage"`
	Accumulated struct {
		Cost float64 `json:"accumulated_cost"`
		Time float64 `json:"accumulated_time"`
	} `json:"accumulated_usage"`
}

// answerSeconds is how long a person is waited for whose answer was not recorded: made up.
const answerSeconds = 45

func (b *builder) openHands(data []byte) error {
	var steps []handStep
	if err := json.Unmarshal(data, &steps); err != nil {
		return err
	}
	agent := b.agent("", "")
	var run *wire.Event
	for i := range steps {
		s := &steps[i]
		if text := s.User; text != nil || run == nil {
			if run != nil { // the agent had stopped and a person told it to go on
				ask := b.open(wire.Event{Type: wire.TypeAsk, Agent: agent, Parent: run.Span, Kind: "question", Name: "what next?", To: []string{"person"}})
				b.state(agent, "waiting", "person", "")
				b.pass(answerSeconds)
				ask.Output = sources.Cut(*text, textBytesMax)
				b.close(ask)
			} else {
				title := b.name
				if text != nil {
					title = sources.Title(*text, titleBytesMax)
				}
				r := b.open(wire.Event{Type: wire.TypeRun, Agent: agent, Name: title})
				run = &r
			}
			b.state(agent, "running", "", "")
			if text != nil {
				b.say(agent, "instruction", *text, run.Span)
			}
		}
		u := &wire.Usage{Model: []byte(s.Usage.Model), Input: s.Usage.Input, Output: s.Usage.Output, CostClaimedNanoUSD: int64(s.Usage.Cost * 1e9), Quality: wire.QualityExact}
		b.think(agent, run.Span, s.Usage.Model, "thought", s.Agent.Thought, u, s.Usage.Inference)
		if s.Agent.Action != nil {
			e := b.open(wire.Event{Type: wire.TypeTool, Agent: agent, Parent: run.Span, Step: int64(i + 1), Name: actionName(*s.Agent.Action), Input: map[string]any{"action": sources.Cut(*s.Agent.Action, textBytesMax)}})
			b.pass(s.Usage.Execution - s.Usage.Inference)
			if s.Environment != nil {
				e.Output = sources.Cut(*s.Environment, textBytesMax)
				if code, bad := outputFailed(*s.Environment); bad {
					fail(&e, code, sources.Title(*s.Environment, 256))
				}
			}
			b.close(e)
		}
		b.add(wire.Event{Type: wire.TypeMetrics, Agent: agent, Name: "usage", Metrics: map[string]float64{"context_tokens": float64(s.Usage.Input), "cost_usd": s.Accumulated.Cost, "inference_s": s.Usage.Inference}})
	}
	if run == nil {
		return nil
	}
	if last := &steps[len(steps)-1]; last.Agent.Action == nil {
		// It stopped with a message: it waits for the person, and no answer was recorded.
		ask := b.open(wire.Event{Type: wire.TypeAsk, Agent: agent, Parent: run.Span, Kind: "review", To: []string{"person"},
			Name: sources.Title(last.Agent.Thought, titleBytesMax), Msg: sources.Cut(last.Agent.Thought, textBytesMax)})
		b.state(agent, "waiting", "person", "")
		b.pass(answerSeconds)
		ask.Status, ask.Msg = wire.StatusUnknown, ""
		b.close(ask)
	}
	b.close(*run)
	b.state(agent, "done", "", "")
	return nil
}

func actionName(action string) string {
	name, _, _ := strings.Cut(action, ":")
	return sources.Title(name, 48)
}
