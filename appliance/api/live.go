package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"eyrie/appliance/access"
	"eyrie/appliance/query"
	"eyrie/appliance/views/live"
)

// Bounds of the fall-backs of /v1/live.
const (
	sseQueue   = 64               // messages that wait for a slow reader; beyond it the hub holds back,
	sseBytes   = 1 << 20          // and beyond so many bytes of them
	sseComment = 15 * time.Second // silence after which a comment keeps proxies from closing
	pollWait   = 25 * time.Second
	topUp      = 1000 // credits given after each message
)

// subscription builds the hub's subscribe message from query parameters.
func (q *req) subscription(what string, credits int) ([]byte, error) {
	if _, err := query.Parse(q.arg("q")); err != nil {
		return nil, err // before the stream has begun, so that it is an answer
	}
	filter := map[string]any{}
	for _, name := range []string{"space", "agent", "severity", "run", "q"} {
		if v := q.arg(name); v != "" {
			filter[name] = v
		}
	}
	if v := q.arg("type"); v != "" {
		filter["type"] = strings.Split(v, ",")
	}
	sub := map[string]any{"op": "subscribe", "id": 1, "what": what, "filter": filter, "credits": credits}
	if what == "events" {
		sub["mode"], sub["from"] = "all", "now"
	} else {
		sub["mode"] = "latest"
	}
	if mode := q.arg("mode"); mode != "" {
		sub["mode"] = mode
	}
	from := q.arg("from")
	if id := string(q.Request.Header.Peek("Last-Event-ID")); id != "" {
		from = id
	}
	if after := q.arg("after"); after != "" {
		from = after
	}
	if from != "" {
		// "epoch:offset" and "offset" name the last one seen.
		s := from
		if e, off, ok := strings.Cut(from, ":"); ok {
			if e != strconv.FormatUint(uint64(q.s.p.Log.Epoch()), 10) {
				return nil, q.deadEpoch(e)
			}
			s = off
		}
		if n, err := strconv.ParseUint(s, 10, 53); err == nil {
			sub["from"] = n + 1
		} else {
			sub["from"] = from
		}
	}
	return json.Marshal(sub)
}

// deadEpoch tells the holder of a cursor where its history and the log's part.
func (q *req) deadEpoch(epoch string) *Problem {
	const what = "This cursor is of another epoch of the log."
	n, err := strconv.ParseUint(epoch, 10, 32)
	if err != nil {
		return problem(409, "dead_epoch", what)
	}
	log := q.s.p.Log
	off, ok := log.Parts(uint32(n))
	if !ok {
		return problem(409, "dead_epoch", what+" The log knows nothing of it.")
	}
	return problem(409, "dead_epoch", fmt.Sprintf("%s The histories part at offset %d: what lies below is the same, %d:%d goes on from there.", what, off, log.Epoch(), off-1))
}

// outbox holds the messages for one reader, sseQueue and sseBytes of them at most.
type outbox struct {
	ch   chan []byte
	held atomic.Int64 // bytes
}

// send takes a message, or has the hub wait. It is called by one goroutine at a time.
func (o *outbox) send(p []byte) error {
	n := int64(len(p))
	if held := o.held.Load(); held > 0 && held+n > sseBytes {
		return live.ErrBusy
	}
	o.held.Add(n)
	select {
	case o.ch <- bytes.Clone(p):
		return nil
	default:
		o.held.Add(-n)
		return live.ErrBusy
	}
}

// took says that a message was taken out.
func (o *outbox) took(p []byte) { o.held.Add(-int64(len(p))) }

// viewer opens a viewer of the hub whose messages come through an outbox.
func (q *req) viewer() (*live.Viewer, *outbox, error) {
	box := &outbox{ch: make(chan []byte, sseQueue)}
	space := q.who.Space
	if space == access.AnySpace {
		space = ""
	}
	v, err := q.s.p.Hub.Open(live.Conn{Space: space, Send: box.send})
	return v, box, err
}

// liveSSE streams what /v1/live streams as server-sent events: the event is
// the message's op, the id its epoch:offset.
func (q *req) liveSSE() error {
	what := q.arg("what")
	if what == "" {
		what = "events"
	}
	sub, err := q.subscription(what, topUp)
	if err != nil {
		return err
	}
	v, box, err := q.viewer()
	if err != nil {
		return err
	}
	if err := v.Message(sub); err != nil {
		v.Close()
		return err
	}
	epoch := strconv.FormatUint(uint64(q.s.p.Log.Epoch()), 10)
	q.SetContentType("text/event-stream")
	q.Response.Header.Set("Cache-Control", "no-cache")
	q.Response.Header.Set("X-Accel-Buffering", "no")
	stop := q.s.conns.stop
	conn, keys, owner, now := q.Conn(), q.s.p.Keys, q.who.ID, q.s.p.Now
	q.SetBodyStreamWriter(func(w *bufio.Writer) {
		defer v.Close()
		t := time.NewTicker(sseComment)
		defer t.Stop()
		for {
			// The server's write time-out is for answers that end.
			if err := conn.SetWriteDeadline(time.Now().Add(2 * sseComment)); err != nil {
				return
			}
			select {
			case p := <-box.ch:
				box.took(p)
				writeEvent(w, p, epoch)
				if v.Message([]byte(`{"op":"request","id":1,"n":`+strconv.Itoa(topUp)+`}`)) != nil {
					return
				}
				v.Ready()
			case <-t.C:
				if k, ok := keys.Get(owner); !ok || !k.Valid(now()) {
					return // revoked or expired since
				}
				if _, err := w.WriteString(":\n\n"); err != nil {
					return
				}
			case <-stop:
				return
			}
			if len(box.ch) == 0 && w.Flush() != nil {
				return
			}
		}
	})
	return nil
}

// writeEvent writes one message as a server-sent event. JSON has no line feed,
// so the data is one line. The greeting has an id too: a reader that loses the
// line before its first event comes back to where it began.
func writeEvent(w *bufio.Writer, p []byte, epoch string) {
	var m struct {
		Op     string  `json:"op"`
		Offset *uint64 `json:"offset"`
	}
	if json.Unmarshal(p, &m) != nil {
		return
	}
	w.WriteString("event: ")
	w.WriteString(m.Op)
	if m.Op == "subscribed" && m.Offset != nil {
		*m.Offset-- // it tells the first one to come, an id the last one seen
	}
	if m.Offset != nil && (m.Op == "events" || m.Op == "subscribed") {
		w.WriteString("\nid: ")
		w.WriteString(epoch)
		w.WriteString(":")
		w.WriteString(strconv.FormatUint(*m.Offset, 10))
	}
	w.WriteString("\ndata: ")
	w.Write(p)
	w.WriteString("\n\n")
}

// livePoll answers the events after a cursor as soon as there are any, or an
// empty list after 25 seconds.
func (q *req) livePoll() error {
	n, err := q.integer("limit", 100, 1, 1000)
	if err != nil {
		return err
	}
	sub, err := q.subscription("events", int(n))
	if err != nil {
		return err
	}
	v, box, err := q.viewer()
	if err != nil {
		return err
	}
	defer v.Close()
	if err := v.Message(sub); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), pollWait)
	defer cancel()
	epoch := strconv.FormatUint(uint64(q.s.p.Log.Epoch()), 10)
	var last uint64
	for {
		select {
		case p := <-box.ch:
			box.took(p)
			var m struct {
				Op     string            `json:"op"`
				Code   string            `json:"code"`
				Detail string            `json:"detail"`
				Offset uint64            `json:"offset"`
				Items  []json.RawMessage `json:"items"`
			}
			if err := json.Unmarshal(p, &m); err != nil {
				return err
			}
			switch m.Op {
			case "error":
				return problem(400, m.Code, m.Detail)
			case "subscribed":
				last = m.Offset
			case "events":
				return q.json(map[string]any{"items": m.Items, "after": epoch + ":" + strconv.FormatUint(m.Offset, 10)})
			}
		case <-q.s.conns.stop:
			return problem(503, "busy", "eyrie is stopping")
		case <-ctx.Done():
			reached := v.Reached(1) // first: what was sent of what lies below is in the outbox by now
			if len(box.ch) > 0 {
				continue
			}
			after := q.arg("after")
			if last = max(last, reached); last > 0 && (after == "" || reached > 0) {
				after = epoch + ":" + strconv.FormatUint(last-1, 10) // the next poll need not look through it again
			}
			return q.json(map[string]any{"items": []any{}, "after": after})
		}
	}
}
