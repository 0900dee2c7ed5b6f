package api

import (
	"crypto/sha256"
	"encoding/json"
	"strings"
	"sync"

	"eyrie/appliance/intake"
	"eyrie/engine/wire"
)

// refusal is why one event of a request was not taken.
type refusal struct {
	Index int    `json:"index"`
	Code  string `json:"code"`
	Field string `json:"field,omitempty"`
	Msg   string `json:"msg"`
}

// posted is the answer to POST /v1/events.
type posted struct {
	Stored  int       `json:"stored"`
	Refused []refusal `json:"refused"`
	First   uint64    `json:"first,omitempty"`
	Last    uint64    `json:"last,omitempty"`
	Epoch   uint32    `json:"epoch"`
	Log     string    `json:"log"`
}

// parsers are reused: their scratch grows to the largest request.
var parsers = sync.Pool{New: func() any { return new(wire.Parser) }}

// idempotencyKeyMax bounds the header, in bytes.
const idempotencyKeyMax = 255

// postEvents appends the events of a request, all that pass their checks, in
// one step. With an Idempotency-Key it is done once, however often it is sent.
func (q *req) postEvents() error {
	codec := codecOf(string(q.Request.Header.ContentType()))
	key := string(q.Request.Header.Peek("Idempotency-Key"))
	if len(key) > idempotencyKeyMax {
		return badField("Idempotency-Key", "want at most 255 bytes")
	}
	body := q.PostBody()
	sub := &intake.Submission{Space: q.who.Writes(), Owner: q.who.ID}
	out := posted{Refused: []refusal{}, Epoch: q.s.p.Log.Epoch(), Log: logID(q.s)}
	if err := q.collect(codec, body, sub, &out); err != nil {
		return err
	}
	if key != "" {
		sub.Once = "POST /v1/events\x00" + key
		sub.Body = sha256.Sum256(body)
		sub.Answer, _ = json.Marshal(out.Refused)
	}
	if len(sub.Events) > 0 || key != "" {
		if err := q.s.p.Intake.Submit(q, sub); err != nil {
			return err
		}
	}
	if sub.Replayed {
		q.Response.Header.Set("Idempotency-Replayed", "true")
		if err := json.Unmarshal(sub.Answer, &out.Refused); err != nil {
			return err
		}
	}
	out.Stored, out.First, out.Last = len(sub.Events), sub.First, sub.Last
	return q.json(out)
}

// codecOf returns what a Content-Type names; anything else is JSON.
func codecOf(contentType string) wire.Codec {
	media, _, _ := strings.Cut(contentType, ";")
	switch strings.ToLower(strings.TrimSpace(media)) {
	case "application/msgpack", "application/x-msgpack":
		return wire.MsgPack
	case wire.ContentTypeProto, "application/protobuf":
		return wire.Proto
	}
	return wire.JSON
}

// collect parses the body: events that pass go into sub, the rest into out.
func (q *req) collect(codec wire.Codec, body []byte, sub *intake.Submission, out *posted) error {
	p := parsers.Get().(*wire.Parser)
	defer parsers.Put(p)
	var m wire.Message
	if e := p.ParseBatch(codec, body, &m); e != nil {
		return fieldProblem(e)
	}
	for i := 0; ; i++ {
		var h wire.Head
		payload, e, more := p.NextEvent(codec, &m, &h)
		if !more {
			return nil
		}
		switch {
		case e != nil:
			out.Refused = append(out.Refused, refusal{i, e.Code, e.Field, e.Msg})
		case len(h.Agent) == 0:
			out.Refused = append(out.Refused, refusal{i, "missing", "agent", "the event names no agent"})
		case !q.who.Speaks(string(h.Agent)):
			out.Refused = append(out.Refused, refusal{i, "forbidden", "agent", "this key may not speak for this agent"})
		default:
			if e, err := q.judgeBlobs(&h, payload); err != nil {
				return err
			} else if e != nil {
				field := e.Field
				if field == "" {
					field = "event"
				}
				out.Refused = append(out.Refused, refusal{i, e.Code, field, e.Msg})
				continue
			}
			sub.Events = append(sub.Events, intake.Event{
				Agent: string(h.Agent), Class: uint8(h.Type), Flags: h.Flags(), Key: h.Key, Payload: append([]byte(nil), payload...),
			})
		}
	}
}

func fieldProblem(e *wire.FieldError) error {
	p := problem(400, e.Code, e.Msg)
	p.Field = e.Field
	return p
}
