package wire

// declaration reads hello's `agent`: an id, or a map of an agent event's fields in which the id may be called `id`
// or `agent`. h.Agent becomes the payload of the `agent` event that it is short for, in p's scratch.
func (p *Parser) declaration(b []byte, at int, h *Hello) *FieldError {
	k, n, i := token(b, at)
	p.decl = p.decl[:0]
	if k == kStr {
		if _, ft := checkID(b, at); ft.bad() {
			return packFault("", b, 0, ft)
		}
		h.AgentID = b[i : i+n]
		p.decl = AppendMapHeader(p.decl, 2)
		p.decl = AppendStr(AppendStr(p.decl, "type"), "agent")
		p.decl = AppendStr(AppendStr(p.decl, "agent"), h.AgentID)
		h.Agent = p.decl
		return nil
	}
	if k != kMap {
		return packFault("", b, 0, wrong(k, at, "wants an id or a map"))
	}
	hasType := false
	for j, left := i, n; left > 0; left-- {
		name, next, _ := readStr(b, j)
		hasType = hasType || string(name) == "type"
		j, _ = skipAny(b, next)
	}
	if !hasType {
		p.decl = AppendMapHeader(p.decl, n+1)
		p.decl = AppendStr(AppendStr(p.decl, "type"), "agent")
	} else {
		p.decl = AppendMapHeader(p.decl, n)
	}
	for ; n > 0; n-- {
		name, next, _ := readStr(b, i) // checkAny has passed the whole map
		if string(name) == "id" {
			name = []byte("agent")
		}
		p.decl = AppendStr(p.decl, name)
		i, _ = skipAny(b, next)
		p.decl = append(p.decl, b[next:i]...)
	}
	var head Head
	if _, ft := checkEvent(p.decl, 0, &head); ft.bad() {
		return packFault("agent", p.decl, 0, ft)
	}
	if head.Type != TypeAgent {
		return &FieldError{Code: CodeEnum, Field: "agent.type", Msg: "wants agent"}
	}
	h.AgentID, h.Agent = head.Agent, p.decl
	return nil
}
