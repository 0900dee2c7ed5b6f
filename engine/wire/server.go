package wire

import "time"

// ServerMessage is one message of the server, as a client reads it. Nothing in it aliases the input but Args.
type ServerMessage struct {
	Op      Op
	OpName  string
	Welcome Welcome
	Seq     uint64 // ack

	From, To         uint64 // nack, shed
	Code, Field, Msg string // nack
	Class            Prio   // shed

	Rate    float64 // slow: events a second
	Command Command
	URL     string        // goaway
	After   time.Duration // goaway
}

// ParseServer reads one message of the server. Ops and names it does not know are no error: a client of today must
// live with a server of tomorrow.
func ParseServer(c Codec, b []byte, m *ServerMessage) error {
	*m = ServerMessage{}
	if c == JSON {
		packed, e := AppendMsgpackFromJSON(nil, b)
		if e != nil {
			return e
		}
		b = packed
	}
	if c == Proto {
		num, body, e := oneOf(b)
		if e != nil {
			return e
		}
		var r protoReader
		n := 0
		switch {
		case num == 0:
			return missing("op")
		case num >= uint64(len(protoServer)):
			r.dst = openOp(nil, string(appendDecimal(nil, num)))
		default:
			r.dst = openOp(nil, protoServerOps[num].String())
			n = r.fields(body, protoServer[num], 0)
		}
		if n < 0 {
			return r.fault("")
		}
		b = closeContainer(r.dst, 0, n+1, 0x80)
	}
	end, ft := skipChecked(b, 0, 0)
	if ft.bad() {
		return packFault("", b, 0, ft)
	}
	if k, _, _ := token(b, 0); k != kMap || end != len(b) {
		return &FieldError{Code: CodeSyntax, Msg: "a message is one map"}
	}
	eachPair(b, 0, func(name []byte, at int) {
		if string(name) == "op" {
			s, _, _ := readStr(b, at)
			m.OpName = string(s)
			i, _ := indexOf(opNames[:], s)
			m.Op = Op(i)
		}
	})
	if m.OpName == "" {
		return missing("op")
	}
	var bad *FieldError
	eachPair(b, 0, func(name []byte, at int) {
		if bad == nil && b[at] != 0xc0 {
			if ft := m.field(b, at, string(name)); ft.bad() {
				bad = packFault("", b, 0, ft)
			}
		}
	})
	if bad != nil {
		return bad
	}
	return nil
}

func (m *ServerMessage) field(b []byte, at int, name string) (ft *fault) {
	switch m.Op {
	case OpWelcome:
		return m.Welcome.field(b, at, name)
	case OpCommand:
		return m.Command.field(b, at, name)
	}
	var s []byte
	switch name {
	case "seq":
		m.Seq, ft = countAt(b, at)
	case "from":
		m.From, ft = countAt(b, at)
	case "to":
		m.To, ft = countAt(b, at)
	case "code":
		s, _, ft = textAt(b, at)
		m.Code = string(s)
	case "field":
		s, _, ft = textAt(b, at)
		m.Field = string(s)
	case "error":
		s, _, ft = textAt(b, at)
		m.Msg = string(s)
	case "class":
		s, _, ft = textAt(b, at)
		m.Class, _ = ParsePrio(s)
	case "url":
		s, _, ft = textAt(b, at)
		m.URL = string(s)
	case "rate":
		m.Rate, _ = readFloat(b, at)
	case "after_ms":
		var ms uint64
		ms, ft = countAt(b, at)
		m.After = time.Duration(min(ms, maxUnixMs)) * time.Millisecond
	}
	return ft
}

func (w *Welcome) field(b []byte, at int, name string) (ft *fault) {
	switch name {
	case "log":
		w.Log, _, ft = uuidAt(b, at)
	case "epoch":
		w.Epoch, ft = countAt(b, at)
	case "next":
		w.Next, ft = countAt(b, at)
	case "pos":
		var pos []byte
		pos, _, ft = posAt(b, at)
		w.Pos = append([]byte{}, pos...)
	case "features":
		w.Features, _, ft = textsAt(b, at)
	case "limits":
		eachPair(b, at, func(name []byte, at int) {
			if i, ok := indexOf(limitNames[:], name); ok {
				if v, fault := countAt(b, at); !fault.bad() {
					*w.Limits.at(i) = int(min(v, 1<<31-1))
				}
			}
		})
	}
	return ft
}

func (c *Command) field(b []byte, at int, name string) (ft *fault) {
	var s []byte
	switch name {
	case "id":
		s, _, ft = textAt(b, at)
		c.ID = string(s)
	case "name":
		s, _, ft = textAt(b, at)
		c.Name = string(s)
	case "args":
		end, _ := skipAny(b, at)
		c.Args = b[at:end]
	case "expires":
		c.Expires, _, ft = checkInstantMs(b, at)
	}
	return ft
}

func countAt(b []byte, at int) (uint64, *fault) {
	if _, ft := checkCount(b, at); ft.bad() {
		return 0, ft
	}
	v, _, _ := readInt(b, at)
	return uint64(v), nil
}
