//go:build linux

package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

type liveEvent struct {
	Offset     uint64
	Agent, Msg string
}

// stream reads server-sent events of one connection until fn says enough; it
// returns the last event id.
func (r *rig) stream(query, last string, fn func(event string, data []byte) bool) (id string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+r.web+"/v1/live/sse?"+query, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.keys["viewer"])
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		r.t.Fatalf("%d %s", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	id = last
	var event, data, next string
	in := bufio.NewReader(resp.Body)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			r.t.Fatalf("the stream broke: %v", err)
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch name {
		case "event":
			event = value
		case "id":
			next = value
		case "data":
			data = value
		case "":
			if event == "" {
				continue // a comment
			}
			if next != "" {
				id = next
			}
			if !fn(event, []byte(data)) {
				return id
			}
			event, data, next = "", "", ""
		}
	}
}

// A stream that breaks anywhere goes on behind its Last-Event-ID: nothing is
// missing and nothing comes twice, while events are written all the time.
func TestSSEResumes(t *testing.T) {
	r := newRig(t)
	const total = 400
	ctx, cancel := context.WithCancel(context.Background())
	wrote := make(chan struct{})
	started := make(chan struct{})
	go func() {
		defer close(wrote)
		<-started
		for i := 0; i < total && ctx.Err() == nil; {
			n := min(1+rand.IntN(12), total-i)
			var b strings.Builder
			for j := range n {
				fmt.Fprintf(&b, "{\"type\":\"message\",\"agent\":\"flow\",\"msg\":\"%d\"}\n{\"type\":\"log\",\"agent\":\"other\"}\n", i+j)
			}
			if _, err := r.try("POST", "/v1/events", r.keys["agent"], b.String()); err != nil {
				t.Error(err)
				return
			}
			i += n
		}
	}()
	var start sync.Once
	begin := func() { start.Do(func() { close(started) }) }
	defer func() { cancel(); begin(); <-wrote }()
	got, last, breaks := 0, "", 0
	for ; got < total; breaks++ {
		left := rand.IntN(10) // messages until the line breaks; 0: right after the greeting
		last = r.stream("what=events&agent=flow&space=main", last, func(event string, data []byte) bool {
			switch event {
			case "subscribed":
				begin()
				return left > 0
			case "error":
				t.Fatalf("%s", data)
			case "events":
				var m struct{ Items []liveEvent }
				if err := json.Unmarshal(data, &m); err != nil {
					t.Fatal(err)
				}
				for _, e := range m.Items {
					if e.Agent != "flow" || e.Msg != fmt.Sprint(got) {
						t.Fatalf("after break %d: got %q of %s, want %d", breaks, e.Msg, e.Agent, got)
					}
					got++
				}
				left--
			default: // what comes before the greeting has no id yet
				return true
			}
			return left > 0 && got < total
		})
		if last == "" {
			t.Fatal("a greeted reader has no id to come back with")
		}
	}
	if breaks < 3 {
		t.Errorf("only %d breaks", breaks)
	}
}

func TestDeadEpoch(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"/v1/live/poll?after=99:1", "/v1/live/sse?from=99:1"} {
		if err := r.ask("GET", path, r.keys["viewer"], "").problem(409, "dead_epoch", ""); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := r.ask("GET", "/v1/live/sse", r.keys["viewer"], "", "Last-Event-ID", "99:1").problem(409, "dead_epoch", ""); err != nil {
		t.Error(err)
	}
}

// Each poll answers what came since the one before: at once if there is
// something, else as soon as there is.
func TestPoll(t *testing.T) {
	r := newRig(t)
	const total = 60
	p, _ := r.post(r.keys["agent"], `{"type":"log","agent":"start"}`)
	after := fmt.Sprintf("%d:%d", p.Epoch, p.Last)
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		for i := range total {
			if _, err := r.try("POST", "/v1/events", r.keys["agent"], fmt.Sprintf(`{"type":"message","agent":"polled","msg":"%d"}`, i)); err != nil {
				t.Error(err)
				return
			}
			if i%20 == 0 {
				time.Sleep(30 * time.Millisecond) // so that a poll has to wait
			}
		}
	}()
	got := 0
	for got < total {
		var m struct {
			Items []liveEvent
			After string
		}
		r.get("/v1/live/poll?agent=polled&space=main&limit=7&after="+after, &m)
		if len(m.Items) == 0 || len(m.Items) > 7 {
			t.Fatalf("%d items", len(m.Items))
		}
		for _, e := range m.Items {
			if e.Msg != fmt.Sprint(got) {
				t.Fatalf("got %q, want %d", e.Msg, got)
			}
			got++
		}
		after = m.After
	}
	<-wrote
	// With nothing there, an answer comes with the next event, not before.
	type result struct {
		a   answer
		err error
	}
	waiting := make(chan result, 1)
	go func() {
		a, err := r.try("GET", "/v1/live/poll?agent=polled&space=main&after="+after, r.keys["viewer"], "")
		waiting <- result{a, err}
	}()
	select {
	case a := <-waiting:
		t.Fatalf("answered without an event: %s, %v", a.a.body, a.err)
	case <-time.After(100 * time.Millisecond):
	}
	r.post(r.keys["agent"], `{"type":"message","agent":"polled","msg":"at last"}`)
	if a := <-waiting; a.err != nil || !strings.Contains(string(a.a.body), "at last") {
		t.Errorf("%s, %v", a.a.body, a.err)
	}
}
