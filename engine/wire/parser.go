package wire

// Parser reads what agents send: Parse once per message, then NextEvent until it has no more. One goroutine uses
// it; a loop keeps one for all of its links. Scratch grows to the largest message seen and stays.
type Parser struct {
	msg, ev, seed, decl []byte
	at, i               int
	broken              *FieldError // the array has no next event that could be found
	proto               protoReader
}

// Parse reads one message into m, whatever m held before. An error concerns the whole message: nothing of it may
// be used but m.Op, m.OpName, m.Seq and m.Count as far as they were read. Events are not judged yet.
func (p *Parser) Parse(c Codec, b []byte, m *Message) *FieldError {
	*m = Message{}
	p.at, p.i, p.broken = 0, 0, nil
	if len(b) > MaxFrame {
		return &FieldError{Code: CodeSize, Msg: "a message has at most 1048576 bytes"}
	}
	packed := b
	var seen messageField
	if c != MsgPack {
		split := p.splitJSON
		if c == Proto {
			split = p.splitProto
		}
		events, e := split(b, m)
		if e != nil {
			return e
		}
		seen, packed = events, p.msg
	}
	more, e := p.parsePacked(packed, m)
	if e != nil {
		return e
	}
	return m.settle(seen | more)
}

// ParseBatch reads the body of POST /v1/events: {"events": […]}, an array (not in Protobuf), one event, or (JSON) one
// event a line.
// m is as after Parse of an `events` message, with Seq 0.
func (p *Parser) ParseBatch(c Codec, b []byte, m *Message) *FieldError {
	*m = Message{Op: OpEvents}
	p.at, p.i, p.broken = 0, 0, nil
	switch c {
	case MsgPack:
		return p.batchPacked(b, m)
	case Proto:
		return p.batchProto(b, m)
	}
	return p.batchJSON(b, m)
}

// NextEvent yields the next event of the message m that Parse has just read: payload and h for a good one, err for
// one to be refused; more is false when all m.Count have been yielded. payload is a MessagePack map that aliases
// the message or, for JSON and Proto, the Parser's scratch until the next call. When an event's end cannot be found, each
// remaining number yields an error.
func (p *Parser) NextEvent(c Codec, m *Message, h *Head) (payload []byte, err *FieldError, more bool) {
	if p.i >= m.Count {
		return nil, nil, false
	}
	i := p.i
	p.i++
	if p.broken != nil {
		return nil, &FieldError{Code: p.broken.Code, Field: eventPath(i), Msg: p.broken.Msg}, true
	}
	switch c {
	case JSON:
		payload, err = p.nextJSON(m, h, i)
	case Proto:
		payload, err = p.nextProto(m, h, i)
	default:
		payload, err = p.nextPacked(m, h, i)
	}
	return payload, err, true
}

func eventPath(i int) string {
	return string(append(appendDecimal([]byte("events["), uint64(i)), ']'))
}

func (p *Parser) nextPacked(m *Message, h *Head, i int) ([]byte, *FieldError) {
	b, start := m.Events, p.at
	end, ft := judge(b, start, h)
	if ft.bad() {
		return p.refusePacked(m, h, i, ft)
	}
	p.at = end
	if end-start > MaxEvent {
		return nil, tooLarge(i)
	}
	if p.i == m.Count && m.tail && end != len(b) {
		return nil, &FieldError{Code: CodeSyntax, Field: "events", Msg: "more after the last event"}
	}
	return b[start:end], nil
}

// refusePacked spells out the fault and finds where the next event starts.
func (p *Parser) refusePacked(m *Message, h *Head, i int, ft *fault) ([]byte, *FieldError) {
	b, start := m.Events, p.at
	end, ok := skipAny(b, start)
	if !ok {
		e := packFault(eventPath(i), b, start, &fault{code: CodeSyntax, at: ft.at, want: "truncated MessagePack"})
		p.broken = &FieldError{Code: CodeSyntax, Msg: "follows a broken event"}
		return nil, e
	}
	p.at = end
	if ft.code == CodeMissing && ft.name == "type" {
		if payload, e, ok := p.fromSeed(b[start:end], h, i); ok {
			return payload, e
		}
	}
	return nil, packFault(eventPath(i), b, start, ft)
}

func tooLarge(i int) *FieldError {
	return &FieldError{Code: CodeSize, Field: eventPath(i), Msg: "an event has at most 262144 bytes of MessagePack"}
}

func (p *Parser) nextJSON(m *Message, h *Head, i int) ([]byte, *FieldError) {
	src := m.Events
	start := skipSpace(src, p.at)
	out, next, ft := scanValue(p.ev[:0], src, start, 0)
	p.ev = out
	if !ft.bad() {
		if next = skipSpace(src, next); next < len(src) && src[next] != ',' && !m.lines {
			ft = badJSON(next, "wants a comma or ]")
		} else if m.lines && next < len(src) && !lineBetween(src, start, next) {
			ft = badJSON(next, "wants one event a line")
		}
	}
	if ft.bad() {
		e := jsonFault(eventPath(i), src, start, ft)
		p.at = p.afterBroken(m, start)
		return nil, e
	}
	if p.at = next; !m.lines {
		p.at++ // the comma
	}
	if len(out) > MaxEvent {
		return nil, tooLarge(i)
	}
	_, ft = judge(out, 0, h)
	if !ft.bad() {
		return out, nil
	}
	if ft.code == CodeMissing && ft.name == "type" {
		if payload, e, ok := p.fromSeed(out, h, i); ok {
			return payload, e
		}
	}
	return nil, packFault(eventPath(i), out, 0, ft)
}

// afterBroken returns where to go on behind an element that is not JSON.
func (p *Parser) afterBroken(m *Message, start int) int {
	src := m.Events
	if m.lines {
		for start < len(src) && src[start] != '\n' {
			start++
		}
		return start
	}
	end := elementEnd(src, start)
	if end < 0 {
		return len(src)
	}
	return end + 1
}

// lineBetween reports whether the white space just before src[next] holds the end of a line.
func lineBetween(src []byte, start, next int) bool {
	for i := next - 1; i > start; i-- {
		switch src[i] {
		case '\n':
			return true
		case ' ', '\t', '\r':
		default:
			return false
		}
	}
	return false
}
