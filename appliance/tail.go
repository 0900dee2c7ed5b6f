package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

type tailCmd struct {
	serverFlags
	Space string   `help:"Only this space."`
	Agent string   `help:"Only this agent."`
	Type  []string `placeholder:"TYPE" help:"Only these types of event."`
	Query string   `short:"q" help:"Only what this query selects, as the UI's box takes it: tool:Bash status:error …"`
	From  string   `default:"now" placeholder:"WHEN" help:"now, an offset, or how far back: 5m."`
	Count int      `short:"n" placeholder:"N" help:"End after so many events; 0 goes on."`
	JSON  bool     `help:"Print each event as a line of JSON."`
}

// Run prints events until interrupted, and goes on where it stopped after a
// break in the line.
func (c *tailCmd) Run(ctx context.Context) error {
	u, err := c.base()
	if err != nil {
		return err
	}
	key, err := c.key("operator")
	if err != nil {
		return err
	}
	t := &tail{c: c, key: key, url: u.String(), out: bufio.NewWriter(os.Stdout), from: c.From}
	if d, err := time.ParseDuration(c.From); err == nil && d > 0 {
		t.from = "-" + c.From
	}
	wait := 200 * time.Millisecond
	for first := true; ; first = false {
		got, err := t.stream(ctx)
		switch {
		case ctx.Err() != nil || errors.Is(err, errEnough) || errors.Is(err, errPipe):
			return nil
		case first && !got:
			return err
		}
		if got {
			wait = 200 * time.Millisecond
		}
		fmt.Fprintf(os.Stderr, "eyrie: the line broke (%v); trying again\n", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, 10*time.Second)
	}
}

var (
	errEnough = errors.New("enough")
	errPipe   = errors.New("nobody reads the output")
)

type tail struct {
	c        *tailCmd
	key, url string
	from     string
	last     string // epoch:offset of the last event printed
	out      *bufio.Writer
	printed  int
}

// stream reads server-sent events until the line breaks.
func (t *tail) stream(ctx context.Context) (got bool, err error) {
	v := url.Values{"what": {"events"}}
	for k, s := range map[string]string{"space": t.c.Space, "agent": t.c.Agent, "q": t.c.Query, "type": strings.Join(t.c.Type, ",")} {
		if s != "" {
			v.Set(k, s)
		}
	}
	if t.last == "" {
		v.Set("from", t.from)
	}
	req, err := http.NewRequestWithContext(ctx, "GET", t.url+"/v1/live/sse?"+v.Encode(), nil)
	if err != nil {
		return false, err
	}
	req.Header.Set("Authorization", "Bearer "+t.key)
	if t.last != "" {
		req.Header.Set("Last-Event-ID", t.last)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, exit(exitServer, "no eyrie answers at %s: %v", t.url, unwrapURL(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
		var p struct{ Detail string }
		if json.Unmarshal(b, &p) != nil || p.Detail == "" {
			p.Detail = resp.Status
		}
		code := exitFailed
		if resp.StatusCode == 401 || resp.StatusCode == 403 {
			code = exitServer
		}
		return false, exit(code, "%s", p.Detail)
	}
	r := bufio.NewReaderSize(resp.Body, 1<<20)
	var event, id string
	var data []byte
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return got, err
		}
		line = strings.TrimRight(line, "\r\n")
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "":
			if event == "error" {
				var p struct{ Detail string }
				if json.Unmarshal(data, &p) != nil || p.Detail == "" {
					p.Detail = string(data)
				}
				return got, errors.New(p.Detail)
			}
			if event == "events" {
				got = true
				if err := t.print(data); err != nil {
					return got, err
				}
				if id != "" {
					t.last = id
				}
			}
			event, id, data = "", "", nil
		case name == "event":
			event = value
		case name == "id":
			id = value
		case name == "data":
			data = []byte(value)
		}
	}
}

func (t *tail) print(data []byte) error {
	var m struct{ Items []json.RawMessage }
	if err := json.Unmarshal(data, &m); err != nil {
		return err
	}
	for _, it := range m.Items {
		if t.c.JSON {
			t.out.Write(it)
			t.out.WriteByte('\n')
		} else {
			t.out.WriteString(humanEvent(it))
		}
		if t.printed++; t.c.Count > 0 && t.printed == t.c.Count {
			if t.out.Flush() != nil {
				return errPipe
			}
			return errEnough
		}
	}
	if t.out.Flush() != nil {
		return errPipe
	}
	return nil
}

// humanEvent is one line about an event: when, who, what.
func humanEvent(raw []byte) string {
	var e struct {
		Recv     float64         `json:"recv_ms"`
		Agent    string          `json:"agent"`
		Type     string          `json:"type"`
		Phase    string          `json:"phase"`
		Severity string          `json:"severity"`
		Name     string          `json:"name"`
		Msg      string          `json:"msg"`
		Status   string          `json:"status"`
		State    json.RawMessage `json:"state"`
		Metrics  map[string]any  `json:"metrics"`
		Dur      *float64        `json:"dur_ms"`
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		return plain(string(raw)) + "\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %-24s %-8s", time.UnixMicro(int64(e.Recv*1e3)).Format("15:04:05.000"), plain(e.Agent), e.Type)
	if e.Phase != "" && e.Phase != "whole" {
		b.WriteString(" " + e.Phase)
	}
	if e.Name != "" {
		b.WriteString(" " + plain(e.Name))
	}
	if e.Status != "" {
		b.WriteString(" [" + e.Status + "]")
	}
	if e.Dur != nil {
		b.WriteString(" " + strconv.FormatFloat(*e.Dur, 'f', 0, 64) + " ms")
	}
	if len(e.State) > 0 {
		b.WriteString(" " + plain(string(e.State)))
	}
	if len(e.Metrics) > 0 {
		fmt.Fprintf(&b, " %d metrics", len(e.Metrics))
	}
	if e.Msg != "" {
		b.WriteString("  " + cut(plain(e.Msg), 120))
	}
	b.WriteByte('\n')
	return b.String()
}

// cut shortens s to n characters.
func cut(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}
