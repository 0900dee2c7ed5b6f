package recorded

import (
	"encoding/json"
	"strings"

	"eyrie/appliance/sources"
	"eyrie/engine/wire"
)

// trajectory is one run of SWE-agent.
type trajectory struct {
	Environment string `json:"environment"`
	Trajectory  []struct {
		Action        string  `json:"action"`
		Observation   string  `json:"observation"`
		Thought       string  `json:"thought"`
		ExecutionTime float64 `json:"execution_time"` // seconds; newer versions
	} `json:"trajectory"`
	Info struct {
		ExitStatus string `json:"exit_status"`
		Submission string `json:"submission"`
		Stats      struct {
			Cost     float64 `json:"instance_cost"`
			Sent     int64   `json:"tokens_sent"`
			Received int64   `json:"tokens_received"`
			Calls    int64   `json:"api_calls"`
		} `json:"model_stats"`
	} `json:"info"`
}

func (b *builder) sweAgent(data []byte) error {
	var r trajectory
	if err := json.Unmarshal(data, &r); err != nil {
		return err
	}
	if len(r.Trajectory) == 0 {
		return nil
	}
	agent := b.agent("", "")
	run := b.open(wire.Event{Type: wire.TypeRun, Agent: agent, Name: b.name})
	b.state(agent, "running", "", "")
	// Tokens and cost are known for the whole run only: shared evenly among its calls, and marked.
	calls := int64(len(r.Trajectory))
	for i, s := range r.Trajectory {
		var u *wire.Usage
		if r.Info.Stats.Sent > 0 {
			u = &wire.Usage{Input: share(r.Info.Stats.Sent, i, calls), Output: share(r.Info.Stats.Received, i, calls),
				CostClaimedNanoUSD: share(int64(r.Info.Stats.Cost*1e9), i, calls), Quality: wire.QualityEstimated}
		}
		b.think(agent, run.Span, "", "thought", s.Thought, u, 0)
		name, _, _ := strings.Cut(strings.TrimSpace(s.Action), " ")
		name, _, _ = strings.Cut(name, "\n")
		if name == "" {
			continue
		}
		e := b.open(wire.Event{Type: wire.TypeTool, Agent: agent, Parent: run.Span, Step: int64(i + 1), Name: sources.Cut(name, nameBytesMax), Input: map[string]any{"action": sources.Cut(s.Action, textBytesMax)}})
		if s.ExecutionTime > 0 {
			b.pass(s.ExecutionTime)
		} else {
			b.pass(0.3 + float64(len(s.Observation))/5000)
		}
		e.Output = sources.Cut(s.Observation, textBytesMax)
		if code, bad := outputFailed(s.Observation); bad {
			fail(&e, code, sources.Title(s.Observation, 256))
		}
		b.close(e)
		b.add(wire.Event{Type: wire.TypeMetrics, Agent: agent, Name: "steps", Metrics: map[string]float64{"step": float64(i + 1), "observation_bytes": float64(len(s.Observation))}})
	}
	run.Output = sources.Cut(r.Info.Submission, textBytesMax)
	run.Attrs = map[string]any{"exit_status": r.Info.ExitStatus}
	if r.Info.ExitStatus != "submitted" {
		fail(&run, "not_submitted", r.Info.ExitStatus)
	}
	b.close(run)
	b.state(agent, "done", "", r.Info.ExitStatus)
	return nil
}

// share is the i-th of n parts of total; the parts add up to it.
func share(total int64, i int, n int64) int64 {
	return total*int64(i+1)/n - total*int64(i)/n
}
