package wire

// splitJSON transcodes a JSON message into p.msg, all but its events, whose raw text becomes m.Events.
func (p *Parser) splitJSON(src []byte, m *Message) (seen messageField, e *FieldError) {
	fail := func(ft *fault) (messageField, *FieldError) { return seen, jsonFault("", src, 0, ft) }
	i := skipSpace(src, 0)
	if i >= len(src) || src[i] != '{' {
		return fail(badJSON(i, "a message is a JSON object"))
	}
	dst := append(p.msg[:0], 0x80)
	defer func() { p.msg = dst }()
	var ft *fault
	n := 0
	for i = skipSpace(src, i+1); ; i = skipSpace(src, i+1) {
		if i < len(src) && src[i] == '}' && n == 0 && seen == 0 {
			break
		}
		if i >= len(src) || src[i] != '"' {
			return fail(badJSON(i, "wants a name in quotes"))
		}
		name := len(dst)
		if dst, i, ft = scanString(dst, src, i); ft.bad() {
			return fail(ft)
		}
		if i = skipSpace(src, i); i >= len(src) || src[i] != ':' {
			return fail(badJSON(i, "wants a colon"))
		}
		i = skipSpace(src, i+1)
		if s, _, _ := readStr(dst, name); string(s) == "events" && i < len(src) && src[i] == '[' {
			if seen != 0 {
				return fail(&fault{code: CodeDuplicate, at: i, want: "given twice"})
			}
			dst = dst[:name]
			seen = mEvents
			end, count := arrayEnd(src, i+1)
			if end < 0 {
				return fail(badJSON(i, "an array without an end"))
			}
			if count > MaxFrameEvents {
				return fail(&fault{code: CodeSize, at: i, want: "a message has at most 4096 events"})
			}
			m.Events, m.Count = src[i+1:end], count
			i = end + 1
		} else {
			if dst, i, ft = scanValue(dst, src, i, 0); ft.bad() {
				return fail(ft)
			}
			n++
		}
		if i = skipSpace(src, i); i < len(src) && src[i] == ',' {
			continue
		}
		if i >= len(src) || src[i] != '}' {
			return fail(badJSON(i, "wants a comma or }"))
		}
		break
	}
	if i = skipSpace(src, i+1); i != len(src) {
		return fail(badJSON(i, "more after the message"))
	}
	dst = closeContainer(dst, 0, n, 0x80)
	return seen, nil
}

func (p *Parser) batchPacked(b []byte, m *Message) *FieldError {
	k, n, i := token(b, 0)
	switch k {
	case kArray:
		if n > MaxFrameEvents {
			return &FieldError{Code: CodeSize, Msg: "a request has at most 4096 events"}
		}
		m.Count, m.Events, m.tail = n, b[i:], true
		return nil
	case kMap:
		var inner Message
		for j := 0; j < n; j++ {
			name, next, ok := readStr(b, i)
			if ok && string(name) == "events" {
				seen, e := p.parsePacked(b, &inner)
				if e == nil && seen&mEvents == 0 {
					e = missing("events")
				}
				inner.Op = OpEvents
				*m = inner
				return e
			}
			if !ok {
				break
			}
			if i, ok = skipAny(b, next); !ok {
				break
			}
		}
		m.Count, m.Events, m.tail = 1, b, true
		return nil
	}
	return packFault("", b, 0, wrong(k, 0, "wants events"))
}

func (p *Parser) batchJSON(src []byte, m *Message) *FieldError {
	i := skipSpace(src, 0)
	if i >= len(src) || src[i] != '{' && src[i] != '[' {
		return jsonFault("", src, 0, badJSON(i, "wants events"))
	}
	if src[i] == '[' {
		end, n := arrayEnd(src, i+1)
		if end < 0 || skipSpace(src, end+1) != len(src) {
			return jsonFault("", src, 0, badJSON(i, "an array without an end, or more behind it"))
		}
		if n > MaxFrameEvents {
			return &FieldError{Code: CodeSize, Msg: "a request has at most 4096 events"}
		}
		m.Events, m.Count = src[i+1:end], n
		return nil
	}
	var whole Message
	if seen, e := p.splitJSON(src, &whole); e == nil && seen&mEvents != 0 {
		m.Events, m.Count = whole.Events, whole.Count
		_, e := p.parsePacked(p.msg, &whole)
		m.Pos, m.HasPos = whole.Pos, whole.HasPos
		return e
	} else if e == nil {
		m.Events, m.Count = src[i:], 1
		return nil
	} else if seen&mEvents != 0 {
		return e
	}
	m.Events, m.lines = src[i:], true
	m.Count = countLines(m.Events)
	if m.Count > MaxFrameEvents {
		return &FieldError{Code: CodeSize, Msg: "a request has at most 4096 events"}
	}
	return nil
}

// countLines counts the lines that are not blank.
func countLines(src []byte) (n int) {
	blank := true
	for _, c := range src {
		switch c {
		case '\n':
			blank = true
		case ' ', '\t', '\r':
		default:
			if blank {
				n++
			}
			blank = false
		}
	}
	return n
}
