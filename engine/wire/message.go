package wire

import (
	"encoding/hex"
	"unicode/utf8"
)

// Op is what a message asks or tells.
type Op uint8

// The messages; agents send the first four, the server the others.
const (
	OpUnknown Op = iota
	OpHello
	OpEvents
	OpLost
	OpResult
	OpWelcome
	OpAck
	OpNack
	OpShed
	OpSlow
	OpCommand
	OpGoaway
)

var opNames = [...]string{"", "hello", "events", "lost", "result", "welcome", "ack", "nack", "shed", "slow", "command", "goaway"}

// String returns the name on the wire.
func (o Op) String() string { return nameOf(opNames[:], uint8(o)) }

// Message is one message of an agent. Its bytes alias the input or the Parser's scratch until the next Parse.
type Message struct {
	Op     Op
	OpName []byte // as sent, also when Op is OpUnknown

	Seq    uint64 // events: the number of the first one, from 1
	Count  int    // events: how many; NextEvent yields exactly so many
	Events []byte // events: the body of the array, for NextEvent
	Pos    []byte // events: to be committed with them
	HasPos bool

	From, To uint64 // lost: both ends are given up
	Reason   []byte // lost

	ID   []byte // result: of the command
	OK   bool   // result
	Data []byte // result: one MessagePack value, empty = none

	Hello Hello

	tail  bool // Events runs to the end of the message, its end not yet checked
	lines bool // Events is JSON objects, one a line
	alone bool // Events is one Event of Protobuf
}

// Hello is how an agent introduces itself.
type Hello struct {
	Producer  [16]byte // UUID that numbers the events
	Epoch     uint64   // from 1; a higher one fences the lower
	First     uint64   // lowest number still held
	Now       int64    // the agent's clock, Unix ns; 0 = not told
	AgentID   []byte   // default agent of the link's events; empty = none
	Agent     []byte   // payload of an `agent` event that declares it; empty = nothing declared
	Sheddable uint8    // bit 1<<Prio: classes that may be shed; never PrioCritical
	Features  []string
}

// MayShed reports whether the sender allowed the server to shed the class.
func (h *Hello) MayShed(p Prio) bool { return h.Sheddable&(1<<p) != 0 }

// messageField is a bit for each name in a message.
type messageField uint32

const (
	mOp messageField = 1 << iota
	mSeq
	mEvents
	mPos
	mFrom
	mTo
	mReason
	mID
	mOK
	mData
	mProducer
	mEpoch
	mFirst
	mNow
	mAgent
	mSheddable
	mFeatures
)

func messageFieldOf(name []byte) messageField {
	switch string(name) {
	case "op":
		return mOp
	case "seq":
		return mSeq
	case "events":
		return mEvents
	case "pos":
		return mPos
	case "from":
		return mFrom
	case "to":
		return mTo
	case "reason":
		return mReason
	case "id":
		return mID
	case "ok":
		return mOK
	case "data":
		return mData
	case "producer":
		return mProducer
	case "epoch":
		return mEpoch
	case "first":
		return mFirst
	case "now":
		return mNow
	case "agent":
		return mAgent
	case "sheddable":
		return mSheddable
	case "features":
		return mFeatures
	}
	return 0
}

func opOf(name []byte) Op {
	switch string(name) {
	case "events":
		return OpEvents
	case "hello":
		return OpHello
	case "lost":
		return OpLost
	case "result":
		return OpResult
	}
	return OpUnknown
}

// parsePacked reads a MessagePack message. Where `events` is the last name, the array is not walked here: its
// events are judged one by one by NextEvent, and so is what follows the last.
func (p *Parser) parsePacked(b []byte, m *Message) (seen messageField, e *FieldError) {
	k, n, i := token(b, 0)
	if k != kMap {
		return 0, packFault("", b, 0, wrong(k, 0, "a message is a map"))
	}
	agentAt := 0
	for ; n > 0; n-- {
		keyAt := i
		name, next, ok := readStr(b, i)
		if !ok {
			k, _, _ := token(b, i)
			return seen, packFault("", b, 0, badKey(k, i))
		}
		i = next
		f := messageFieldOf(name)
		if seen&f != 0 {
			return seen, packFault("", b, 0, &fault{code: CodeDuplicate, at: i, want: "given twice"})
		}
		if i < len(b) && b[i] == 0xc0 {
			i++
			continue
		}
		seen |= f
		if f == mEvents {
			k, count, body := token(b, i)
			if k != kArray {
				return seen, packFault("", b, 0, wrong(k, i, "wants an array of events"))
			}
			if count > MaxFrameEvents {
				return seen, packFault("", b, 0, &fault{code: CodeSize, at: i, want: "a message has at most 4096 events"})
			}
			m.Count = count
			if m.tail = n == 1; m.tail {
				m.Events = b[body:]
				return seen, nil
			}
			end, ok := skipAny(b, i)
			if !ok {
				return seen, packFault("", b, 0, &fault{code: CodeSyntax, at: i, want: "truncated MessagePack"})
			}
			m.Events = b[body:end]
			i = end
			continue
		}
		if f == mAgent {
			agentAt = i
		}
		if f == 0 && !utf8.Valid(name) {
			return seen, packFault("", b, 0, &fault{code: CodeUTF8, at: keyAt, want: "a name that is not UTF-8"})
		}
		next, ft := m.field(b, i, f)
		if ft.bad() {
			return seen, packFault("", b, 0, ft)
		}
		i = next
	}
	if i != len(b) {
		return seen, &FieldError{Code: CodeSyntax, Msg: "more after the message"}
	}
	if m.Op == OpHello && agentAt > 0 {
		if e := p.declaration(b, agentAt, &m.Hello); e != nil {
			return seen, e
		}
	}
	return seen, nil
}

// field reads one value of a message; nil and events are dealt with before.
func (m *Message) field(b []byte, i int, f messageField) (next int, ft *fault) {
	switch f {
	case mOp:
		m.OpName, next, ft = textAt(b, i)
		m.Op = opOf(m.OpName)
	case mSeq:
		m.Seq, next, ft = seqAt(b, i)
	case mFrom:
		m.From, next, ft = seqAt(b, i)
	case mTo:
		m.To, next, ft = seqAt(b, i)
	case mEpoch:
		m.Hello.Epoch, next, ft = seqAt(b, i)
	case mFirst:
		m.Hello.First, next, ft = seqAt(b, i)
	case mReason:
		m.Reason, next, ft = textAt(b, i)
	case mID:
		m.ID, next, ft = textAt(b, i)
	case mOK:
		if next, ft = checkInner(b, i, inBool); !ft.bad() {
			m.OK = b[i] == 0xc3
		}
	case mNow:
		m.Hello.Now, next, ft = checkInstantMs(b, i)
	case mProducer:
		m.Hello.Producer, next, ft = uuidAt(b, i)
	case mPos:
		m.Pos, next, ft = posAt(b, i)
		m.HasPos = !ft.bad()
	case mSheddable:
		m.Hello.Sheddable, next, ft = sheddableAt(b, i)
	case mFeatures:
		m.Hello.Features, next, ft = textsAt(b, i)
	default: // data, agent and names unknown
		if next, ft = skipChecked(b, i, 0); !ft.bad() && f == mData {
			m.Data = b[i:next]
		}
	}
	return next, ft
}

// settle checks what each kind of message needs.
func (m *Message) settle(seen messageField) *FieldError {
	if seen&mOp == 0 {
		return missing("op")
	}
	var need messageField
	switch m.Op {
	case OpUnknown:
		var p path
		p.key(m.OpName)
		return &FieldError{Code: CodeUnknownOp, Field: "op", Msg: "wants hello, events, lost or result, got " + string(p.b)}
	case OpHello:
		need = mProducer | mEpoch | mFirst
	case OpEvents:
		need = mSeq | mEvents
	case OpLost:
		need = mFrom | mTo
	case OpResult:
		need = mID | mOK
	}
	if lack := need &^ seen; lack != 0 {
		for _, name := range [...]string{"producer", "epoch", "first", "seq", "events", "from", "to", "id", "ok"} {
			if lack&messageFieldOf([]byte(name)) != 0 {
				return missing(name)
			}
		}
	}
	if m.Op == OpLost && m.To < m.From {
		return &FieldError{Code: CodeRange, Field: "to", Msg: "wants a number not below from"}
	}
	if m.Op == OpEvents && m.Seq+uint64(m.Count) > MaxSeq {
		return &FieldError{Code: CodeRange, Field: "seq", Msg: "numbers end at 9007199254740991"}
	}
	return nil
}

func missing(field string) *FieldError {
	return &FieldError{Code: CodeMissing, Field: field, Msg: "required"}
}

func textAt(b []byte, i int) ([]byte, int, *fault) {
	if _, ft := checkText(b, i); ft.bad() {
		return nil, i, ft
	}
	s, next, _ := readStr(b, i)
	return s, next, nil
}

// seqAt reads a number from 1 to MaxSeq.
func seqAt(b []byte, i int) (uint64, int, *fault) {
	next, ft := checkCount(b, i)
	if ft.bad() {
		return 0, i, ft
	}
	v, _, _ := readInt(b, i)
	if v < 1 || v > MaxSeq {
		return 0, i, &fault{code: CodeRange, at: i, want: "wants a number from 1 to 9007199254740991"}
	}
	return uint64(v), next, nil
}

// uuidAt reads a UUID: 16 bytes, or its hexadecimal text with or without hyphens.
func uuidAt(b []byte, i int) (id [16]byte, next int, ft *fault) {
	k, n, next := token(b, i)
	switch {
	case k == kBin && n == 16:
		copy(id[:], b[next:])
		return id, next + n, nil
	case k == kStr:
		if id, ok := parseUUID(b[next : next+n]); ok {
			return id, next + n, nil
		}
	case k == kBad:
		return id, i, wrong(k, i, "")
	}
	return id, i, &fault{code: CodeType, at: i, want: "wants a UUID"}
}

func parseUUID(s []byte) (id [16]byte, ok bool) {
	var digits [32]byte
	switch {
	case len(s) == 32:
		copy(digits[:], s)
	case len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-':
		copy(digits[0:], s[0:8])
		copy(digits[8:], s[9:13])
		copy(digits[12:], s[14:18])
		copy(digits[16:], s[19:23])
		copy(digits[20:], s[24:36])
	default:
		return id, false
	}
	_, err := hex.Decode(id[:], digits[:])
	return id, err == nil
}

// posAt reads an opaque position: bytes or a text; JSON writes bytes that are no text as {"$bin": base64}.
func posAt(b []byte, i int) ([]byte, int, *fault) {
	k, n, next := token(b, i)
	var pos []byte
	switch k {
	case kStr, kBin:
		pos, next = b[next:next+n], next+n
	case kMap:
		var ok bool
		if pos, next, ok = unboxBin(b, i); !ok {
			return nil, i, &fault{code: CodeType, at: i, want: "wants bytes or a text"}
		}
	default:
		return nil, i, wrong(k, i, "wants bytes or a text")
	}
	if len(pos) > MaxPos {
		return nil, i, &fault{code: CodeSize, at: i, want: "a position has at most 65536 bytes"}
	}
	return pos, next, nil
}

// sheddableAt reads the names of the classes that may be shed as a bit set.
func sheddableAt(b []byte, i int) (set uint8, next int, ft *fault) {
	k, n, i := token(b, i)
	if k != kArray {
		return 0, i, wrong(k, i, "wants an array of classes")
	}
	for ; n > 0; n-- {
		s, next, ok := readStr(b, i)
		if !ok {
			k, _, _ := token(b, i)
			return 0, i, wrong(k, i, "wants a string")
		}
		p, ok := ParsePrio(s)
		if !ok || p == PrioCritical {
			return 0, i, &fault{code: CodeEnum, at: i, want: "wants low, normal or high"}
		}
		set |= 1 << p
		i = next
	}
	return set, i, nil
}

func textsAt(b []byte, i int) (all []string, next int, ft *fault) {
	k, n, i := token(b, i)
	if k != kArray {
		return nil, i, wrong(k, i, "wants an array of texts")
	}
	if n > MaxMetrics {
		return nil, i, &fault{code: CodeSize, at: i, want: "at most 64"}
	}
	for ; n > 0; n-- {
		var s []byte
		if s, i, ft = textAt(b, i); ft.bad() {
			return nil, i, ft
		}
		all = append(all, string(s))
	}
	return all, i, nil
}
