package wire

import (
	"encoding/base64"
	"encoding/hex"
	"time"
	"unicode/utf8"
)

// The Append functions add one whole message to dst in the codec. None keeps its arguments.

// HelloOut is what a client says first.
type HelloOut struct {
	Producer  [16]byte
	Epoch     uint64
	First     uint64
	Now       int64  // Unix ns; 0 = not told
	Agent     *Event // fields of an `agent` event; Type may be left out; nil = nothing declared
	Sheddable []Prio
	Features  []string
}

// AppendHello appends a hello.
func AppendHello(dst []byte, c Codec, h *HelloOut) []byte {
	w := begin(dst, OpHello)
	w.name("producer")
	w.b = appendUUID(w.b, c, h.Producer)
	w.num("epoch", h.Epoch)
	w.num("first", h.First)
	if h.Now != 0 {
		w.name("now")
		w.b = appendMs(w.b, h.Now)
	}
	if h.Agent != nil {
		a := *h.Agent
		a.Type = TypeAgent
		w.name("agent")
		w.b = a.AppendMsgpack(w.b)
	}
	if len(h.Sheddable) > 0 {
		w.name("sheddable")
		w.b = AppendArrayHeader(w.b, len(h.Sheddable))
		for _, p := range h.Sheddable {
			w.b = AppendStr(w.b, p.String())
		}
	}
	w.texts("features", h.Features)
	return w.end(c)
}

// AppendEvents appends an events message of payloads (MessagePack maps, whatever the codec) whose first has the
// number seq. A pos of nil is none; an empty one is committed as empty. `events` comes last, as parsing likes best.
func AppendEvents(dst []byte, c Codec, seq uint64, pos []byte, payloads ...[]byte) []byte {
	if c == Proto {
		return appendProtoEvents(dst, seq, pos, payloads)
	}
	w := begin(dst, OpEvents)
	w.num("seq", seq)
	if pos != nil {
		w.name("pos")
		w.b = appendPos(w.b, c, pos)
	}
	w.name("events")
	if c == MsgPack {
		w.b = AppendArrayHeader(w.b, len(payloads))
		for _, p := range payloads {
			w.b = append(w.b, p...)
		}
		return w.end(c)
	}
	w.b = AppendNil(w.b)
	dst = w.end(c)
	dst = append(dst[:len(dst)-len("null}")], '[')
	for i, p := range payloads {
		if i > 0 {
			dst = append(dst, ',')
		}
		out, err := AppendEventJSON(dst, p)
		if err != nil {
			out = append(dst, "null"...) // the server names it by its number
		}
		dst = out
	}
	return append(dst, "]}"...)
}

// AppendLost appends the numbers that the producer gives up.
func AppendLost(dst []byte, c Codec, from, to uint64, reason string) []byte {
	w := begin(dst, OpLost)
	w.num("from", from)
	w.num("to", to)
	w.text("reason", reason)
	return w.end(c)
}

// AppendResult appends the answer to a command; data is one MessagePack value, empty for none.
func AppendResult(dst []byte, c Codec, id string, ok bool, data []byte) []byte {
	w := begin(dst, OpResult)
	w.name("id")
	w.b = AppendStr(w.b, valid(id))
	w.name("ok")
	w.b = AppendBool(w.b, ok)
	w.raw("data", data)
	return w.end(c)
}

// Welcome is the server's answer to hello.
type Welcome struct {
	Log    [16]byte // id of the log
	Epoch  uint64   // of the log
	Next   uint64   // first number not settled
	Pos    []byte   // last committed position; nil = none
	Limits Limits
	// Features that both sides know.
	Features []string
}

// Limits are those in force on a link; 0 = not told.
type Limits struct {
	Event, Frame, FrameEvents, Depth, Metrics int // bytes, bytes, events, levels, entries
	IdleMs                                    int // the link is closed after so long without a frame
}

// DefaultLimits are the protocol's own.
func DefaultLimits() Limits {
	return Limits{Event: MaxEvent, Frame: MaxFrame, FrameEvents: MaxFrameEvents, Depth: MaxDepth, Metrics: MaxMetrics}
}

// AppendWelcome appends a welcome.
func AppendWelcome(dst []byte, c Codec, wel *Welcome) []byte {
	w := begin(dst, OpWelcome)
	w.name("log")
	w.b = appendUUID(w.b, c, wel.Log)
	w.num("epoch", wel.Epoch)
	w.num("next", wel.Next)
	if wel.Pos != nil {
		w.name("pos")
		w.b = appendPos(w.b, c, wel.Pos)
	}
	w.name("limits")
	l := wel.Limits
	w.b = append(w.b, 0x86)
	for i, name := range limitNames {
		w.b = AppendInt(AppendStr(w.b, name), int64(*l.at(i)))
	}
	w.texts("features", wel.Features)
	return w.end(c)
}

var limitNames = [...]string{"event", "frame", "frame_events", "depth", "metrics", "idle_ms"}

func (l *Limits) at(i int) *int {
	return [...]*int{&l.Event, &l.Frame, &l.FrameEvents, &l.Depth, &l.Metrics, &l.IdleMs}[i]
}

// AppendAck appends that every number up to seq is settled.
func AppendAck(dst []byte, c Codec, seq uint64) []byte {
	if c == JSON {
		dst = appendDecimal(append(dst, `{"op":"ack","seq":`...), seq)
		return append(dst, '}')
	}
	if c == Proto {
		dst, body := openProto(dst, 2)
		return closeProto(appendProtoUint(dst, 1, seq), body)
	}
	return AppendUint(append(dst, "\x82\xa2op\xa3ack\xa3seq"...), seq)
}

// AppendNack appends that the numbers from..to are refused.
func AppendNack(dst []byte, c Codec, from, to uint64, code, field, msg string) []byte {
	w := begin(dst, OpNack)
	w.num("from", from)
	w.num("to", to)
	w.text("code", code)
	w.text("field", field)
	w.text("error", msg)
	return w.end(c)
}

// AppendShed appends that the numbers from..to were dropped at admission; class is their highest.
func AppendShed(dst []byte, c Codec, from, to uint64, class Prio) []byte {
	w := begin(dst, OpShed)
	w.num("from", from)
	w.num("to", to)
	w.text("class", class.String())
	return w.end(c)
}

// AppendSlow appends the events a second that the server will take from this link.
func AppendSlow(dst []byte, c Codec, rate float64) []byte {
	w := begin(dst, OpSlow)
	w.name("rate")
	w.b = AppendNumber(w.b, rate)
	return w.end(c)
}

// Command is what the server asks an agent to do.
type Command struct {
	ID, Name string
	Args     []byte // one MessagePack value, empty = none
	Expires  int64  // Unix ns; 0 = never
}

// AppendCommand appends a command.
func AppendCommand(dst []byte, c Codec, cmd *Command) []byte {
	w := begin(dst, OpCommand)
	w.text("id", cmd.ID)
	w.text("name", cmd.Name)
	w.raw("args", cmd.Args)
	if cmd.Expires != 0 {
		w.name("expires")
		w.b = appendMs(w.b, cmd.Expires)
	}
	return w.end(c)
}

// AppendGoaway appends that the agent should come back after a while, to url when one is given.
func AppendGoaway(dst []byte, c Codec, url string, after time.Duration) []byte {
	w := begin(dst, OpGoaway)
	w.text("url", url)
	w.num("after_ms", uint64(max(after, 0)/time.Millisecond))
	return w.end(c)
}

// messageWriter appends a message as MessagePack; end turns it into the codec.
type messageWriter struct {
	b         []byte
	header, n int
}

func begin(dst []byte, op Op) messageWriter {
	w := messageWriter{b: append(dst, 0x80), header: len(dst)}
	w.text("op", op.String())
	return w
}

func (w *messageWriter) name(s string) {
	w.n++
	w.b = AppendStr(w.b, s)
}

func (w *messageWriter) text(name, s string) {
	if s != "" {
		w.name(name)
		w.b = AppendStr(w.b, valid(s))
	}
}

func (w *messageWriter) num(name string, v uint64) {
	w.name(name)
	w.b = AppendUint(w.b, v)
}

func (w *messageWriter) raw(name string, value []byte) {
	if len(value) > 0 {
		w.name(name)
		w.b = append(w.b, value...)
	}
}

func (w *messageWriter) texts(name string, list []string) {
	if len(list) > 0 {
		w.name(name)
		w.b = AppendValue(w.b, list)
	}
}

func (w *messageWriter) end(c Codec) []byte {
	b := closeContainer(w.b, w.header, w.n, 0x80)
	if c == MsgPack {
		return b
	}
	n := len(b)
	if c == Proto {
		out, ok := protoOf(b, b[w.header:n])
		if !ok { // as below: a message that holds none
			return b[:w.header]
		}
		return out[:w.header+copy(out[w.header:], out[n:])]
	}
	out, err := AppendJSONValue(b, b[w.header:n])
	if err != nil { // a raw value of the caller's that is not MessagePack: leave it out rather than break the link
		return append(b[:w.header], `{"op":""}`...)
	}
	return out[:w.header+copy(out[w.header:], out[n:])]
}

func appendUUID(dst []byte, c Codec, id [16]byte) []byte {
	if c == JSON {
		return AppendStr(dst, FormatUUID(id))
	}
	return AppendBin(dst, id[:])
}

// FormatUUID returns the hyphenated text of a UUID.
func FormatUUID(id [16]byte) string {
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// ParseUUID reads 32 hexadecimal digits, with or without hyphens.
func ParseUUID(s string) ([16]byte, bool) { return parseUUID([]byte(s)) }

// appendPos writes a position: bytes; in JSON a text, or {"$bin": base64} where it is none.
func appendPos(dst []byte, c Codec, pos []byte) []byte {
	switch {
	case c != JSON:
		return AppendBin(dst, pos)
	case utf8.Valid(pos):
		return AppendStr(dst, pos)
	}
	return AppendBin(append(dst, "\x81\xa4$bin"...), pos)
}

// unboxBin reads {"$bin": base64 or bytes}.
func unboxBin(b []byte, i int) (p []byte, next int, ok bool) {
	_, n, at := token(b, i)
	name, at, ok := readStr(b, at)
	if n != 1 || !ok || string(name) != "$bin" {
		return nil, i, false
	}
	k, n, next := token(b, at)
	switch k {
	case kBin:
		return b[next : next+n], next + n, true
	case kStr:
		p, err := base64.StdEncoding.AppendDecode(nil, b[next:next+n])
		return p, next + n, err == nil
	}
	return nil, i, false
}
