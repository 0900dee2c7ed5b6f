package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

type sendCmd struct {
	serverFlags
	Agent    string            `default:"${user}" help:"Agent the event is of."`
	Type     string            `default:"message" help:"run, task, llm, tool, ask, span, agent, state, message, metrics, log, note or board."`
	Phase    string            `help:"start, update, end or whole (the default)."`
	Name     string            `help:"Name of the tool, model or metric set."`
	Msg      string            `help:"Text."`
	Span     string            `help:"Id of the span."`
	RunID    string            `name:"run" help:"Id of the run."`
	Severity string            `help:"debug, info, warn, error or fatal."`
	Status   string            `help:"How a span ended: ok, error, denied, cancelled, interrupted, timeout, unknown."`
	State    string            `help:"State to declare: starting, running, waiting, idle, paused, done, failed."`
	Metric   map[string]string `placeholder:"NAME=NUMBER" help:"A gauge; may be given several times."`
	Label    map[string]string `placeholder:"KEY=VALUE" help:"A label; may be given several times."`
	Stdin    bool              `help:"Read events from standard input instead, one JSON object a line."`
	JSON     bool              `help:"Print the server's answer as JSON."`
}

type sendAnswer struct {
	Stored  int    `json:"stored"`
	First   uint64 `json:"first"`
	Last    uint64 `json:"last"`
	Refused []struct {
		Index            int
		Code, Field, Msg string
	} `json:"refused"`
}

func (c *sendCmd) Run(ctx context.Context) error {
	events, err := c.events()
	if err != nil {
		return err
	}
	var total sendAnswer
	for sent := 0; len(events) > 0; {
		n := batch(events)
		var a sendAnswer
		if err := c.call(ctx, "agent", "POST", "/v1/events", map[string]any{"events": events[:n]}, &a); err != nil {
			return err
		}
		total.Stored += a.Stored
		total.Last = a.Last
		if total.First == 0 {
			total.First = a.First
		}
		for _, r := range a.Refused {
			r.Index += sent // of all that were given, not of this request
			total.Refused = append(total.Refused, r)
		}
		events, sent = events[n:], sent+n
	}
	if c.JSON {
		return printJSON(total)
	}
	for _, r := range total.Refused {
		fmt.Fprintf(os.Stderr, "refused: event %d: %s: %s (%s)\n", r.Index, plain(r.Field), plain(r.Msg), r.Code)
	}
	if len(total.Refused) > 0 {
		return fmt.Errorf("%d of %d events were refused", len(total.Refused), len(total.Refused)+total.Stored)
	}
	fmt.Printf("stored %d at offset %d\n", total.Stored, total.First)
	return nil
}

// Bounds of one request; the server takes bodies of 4 MiB.
const (
	batchEvents = 1000
	batchBytes  = 3 << 20
)

// batch returns how many of events go into one request: at least one.
func batch(events []json.RawMessage) int {
	bytes := 0
	for i, e := range events {
		if bytes += len(e) + 1; i > 0 && (i == batchEvents || bytes > batchBytes) {
			return i
		}
	}
	return len(events)
}

// events reads or builds what is to be sent.
func (c *sendCmd) events() ([]json.RawMessage, error) {
	if c.Stdin {
		var out []json.RawMessage
		r := bufio.NewReader(os.Stdin)
		for n := 1; ; n++ {
			line, err := r.ReadString('\n')
			if s := strings.TrimSpace(line); s != "" {
				if !json.Valid([]byte(s)) {
					return nil, fmt.Errorf("line %d is not JSON", n)
				}
				out = append(out, json.RawMessage(s))
			}
			if err == io.EOF {
				return out, nil
			}
			if err != nil {
				return nil, err
			}
		}
	}
	e := map[string]any{"type": c.Type, "agent": c.Agent, "ts": time.Now().UnixMilli()}
	for k, v := range map[string]string{"phase": c.Phase, "name": c.Name, "msg": c.Msg, "span": c.Span, "run": c.RunID, "severity": c.Severity, "status": c.Status} {
		if v != "" {
			e[k] = v
		}
	}
	if c.State != "" {
		e["state"] = map[string]string{"state": c.State, "by": "agent"}
		if c.Type == "message" {
			e["type"] = "state"
		}
	}
	if len(c.Metric) > 0 {
		m := make(map[string]json.Number, len(c.Metric))
		for k, v := range c.Metric {
			m[k] = json.Number(v)
		}
		e["metrics"] = m
		if c.Type == "message" {
			e["type"] = "metrics"
		}
	}
	if len(c.Label) > 0 {
		e["labels"] = c.Label
	}
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("--metric wants numbers: %w", err)
	}
	return []json.RawMessage{b}, nil
}
