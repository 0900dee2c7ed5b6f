package wire

// splitProto transcodes an AgentMessage into p.msg, all but its events, whose Events message becomes m.Events.
func (p *Parser) splitProto(src []byte, m *Message) (seen messageField, e *FieldError) {
	num, body, e := oneOf(src)
	if e != nil {
		return 0, e
	}
	p.proto.dst = p.msg[:0]
	defer func() { p.msg = p.proto.dst }()
	if num >= uint64(len(protoAgent)) {
		p.proto.dst = openOp(p.proto.dst, string(appendDecimal(nil, num)))
		return 0, nil
	}
	if num == 0 {
		p.proto.dst = append(p.proto.dst, 0x80)
		return 0, nil
	}
	op := protoAgentOps[num]
	if op == OpEvents {
		if e := countEvents(body, m); e != nil {
			return 0, e
		}
		seen = mEvents
	}
	p.proto.dst = openOp(p.proto.dst, op.String())
	n := p.proto.fields(body, protoAgent[num], 0)
	if n < 0 {
		m.Op = op
		return seen, p.proto.fault("")
	}
	p.proto.dst = closeContainer(p.proto.dst, 0, n+1, 0x80)
	return seen, nil
}

// openOp begins a message in MessagePack: a map with its op alone.
func openOp(dst []byte, op string) []byte {
	return AppendStr(AppendStr(append(dst, 0x81), "op"), op)
}

// oneOf returns the message that an AgentMessage or ServerMessage holds, num 0 for none.
func oneOf(b []byte) (num uint64, body []byte, e *FieldError) {
	var t protoToken
	for i := 0; i < len(b); {
		if i = readProto(b, i, &t); i < 0 {
			return 0, nil, &FieldError{Code: CodeSyntax, Msg: "not Protobuf"}
		}
		if t.typ != wireBytes {
			continue // no message
		}
		if num != 0 {
			return 0, nil, &FieldError{Code: CodeDuplicate, Msg: "holds more than one message"}
		}
		num, body = t.num, t.body
	}
	return num, body, nil
}

// countEvents makes an Events message m's events, after a look at where each of its fields ends.
func countEvents(b []byte, m *Message) *FieldError {
	var t protoToken
	for i := 0; i < len(b); {
		if i = readProto(b, i, &t); i < 0 {
			return &FieldError{Code: CodeSyntax, Field: "events", Msg: "not Protobuf"}
		}
		if t.num != protoEventsField {
			continue
		}
		if t.typ != wireBytes {
			return &FieldError{Code: CodeType, Field: "events", Msg: "has another wire type in eyrie.proto"}
		}
		if m.Count++; m.Count > MaxFrameEvents {
			return &FieldError{Code: CodeSize, Field: "events", Msg: "a message has at most 4096 events"}
		}
	}
	m.Events = b
	return nil
}

// protoEventsField is the number of Events.events.
const protoEventsField = 3

// nextProto transcodes the next event of m.Events and judges it.
func (p *Parser) nextProto(m *Message, h *Head, i int) ([]byte, *FieldError) {
	var t protoToken
	t.body = m.Events // one event alone
	for at := p.at; !m.alone; {
		if at = readProto(m.Events, at, &t); t.num == protoEventsField { // countEvents has seen all of them
			p.at = at
			break
		}
	}
	p.proto.dst = p.ev[:0]
	ok := p.proto.message(t.body, protoEvent, 0)
	p.ev = p.proto.dst
	if !ok {
		return nil, p.proto.fault(eventPath(i))
	}
	if len(p.ev) > MaxEvent {
		return nil, tooLarge(i)
	}
	_, ft := judge(p.ev, 0, h)
	if !ft.bad() {
		return p.ev, nil
	}
	if ft.code == CodeMissing && ft.name == "type" {
		if payload, e, ok := p.fromSeed(p.ev, h, i); ok {
			return payload, e
		}
	}
	return nil, packFault(eventPath(i), p.ev, 0, ft)
}

// batchProto reads the body of a POST: an Events, or one Event alone, which begins with its agent where Events has a
// number.
func (p *Parser) batchProto(b []byte, m *Message) *FieldError {
	var t protoToken
	if readProto(b, 0, &t) > 0 && t.num == 1 && t.typ == wireBytes {
		m.Events, m.Count, m.alone = b, 1, true
		return nil
	}
	if e := countEvents(b, m); e != nil {
		return e
	}
	p.proto.dst = append(p.msg[:0], 0x80)
	n := p.proto.fields(b, protoAgent[2], 0)
	p.msg = p.proto.dst
	if n < 0 {
		return p.proto.fault("")
	}
	var whole Message
	p.msg = closeContainer(p.msg, 0, n, 0x80)
	_, e := p.parsePacked(p.msg, &whole)
	m.Pos, m.HasPos = whole.Pos, whole.HasPos
	return e
}
