package wire

import "math"

// protoReader turns Protobuf into MessagePack. dst may be kept and used again; after a fault it is of no use.
type protoReader struct {
	dst []byte
	old []byte // the payload of a first version's event, as a map
	ft  FieldError
}

func (r *protoReader) fail(code, want string) bool {
	r.ft = FieldError{Code: code, Msg: want}
	return false
}

// under puts a name before the path of a fault.
func (r *protoReader) under(name []byte) bool {
	var p path
	p.key(name)
	if r.ft.Field != "" && r.ft.Field[0] != '[' {
		p.b = append(p.b, '.')
	}
	r.ft.Field = string(append(p.b, r.ft.Field...))
	return false
}

func (r *protoReader) broken() bool { return r.fail(CodeSyntax, "not Protobuf") }

// fault returns what went wrong below prefix.
func (r *protoReader) fault(prefix string) *FieldError {
	e := r.ft
	switch {
	case e.Field == "":
		e.Field = prefix
	case prefix != "":
		e.Field = prefix + "." + e.Field
	}
	if len(e.Field) > pathMax {
		e.Field = valid(e.Field[:pathMax-1]) + "~"
	}
	return &e
}

// message appends the message b, which lies inside depth maps and arrays, as a map.
func (r *protoReader) message(b []byte, s *protoSchema, depth int) bool {
	if depth >= MaxDepth {
		return r.fail(CodeDepth, "nested deeper than 16")
	}
	header := len(r.dst)
	r.dst = append(r.dst, 0x80)
	n := r.fields(b, s, depth+1)
	if n < 0 {
		return false
	}
	r.dst = closeContainer(r.dst, header, n, 0x80)
	return true
}

// fields appends the pairs of the message b and returns how many they are, -1 after a fault.
func (r *protoReader) fields(b []byte, s *protoSchema, depth int) (n int) {
	var seen uint64
	var t protoToken
	old := oldEvent{form: formNone}
	for i := 0; i < len(b); {
		from := i
		if i = readProto(b, i, &t); i < 0 {
			r.broken()
			return -1
		}
		f := s.field(t.num)
		if f.kind == pNone || f.kind == pEvents { // of a later version; events are read one by one
			continue
		}
		if seen>>t.num&1 != 0 {
			if f.kind.repeated() { // it was read to its end where it came first
				continue
			}
			r.fail(CodeDuplicate, "given twice")
			r.under([]byte(f.name))
			return -1
		}
		seen |= 1 << t.num
		pairs := 1
		switch f.kind {
		case pExtra:
			if pairs = r.entries(b, from, &t, pValues, depth); pairs < 0 {
				return -1
			}
		case pPayload:
			if old.payload, pairs = t.body, 0; t.typ != wireBytes {
				r.fail(CodeType, "wants bytes, a text or a google.protobuf.Struct")
				r.under([]byte("payload"))
				return -1
			}
		case pType:
			if t.typ == wireVarint || formOf(t.body) != formNone {
				if old.form, pairs = formOf(t.body), 0; t.typ == wireVarint {
					if t.v >= formNone {
						r.fail(CodeEnum, "wants a text, or 0 to 3 for STATUS_UPDATE, TASK_COMPLETE, ERROR, METRICS")
						r.under([]byte("type"))
						return -1
					}
					old.form = uint8(t.v)
				}
				break
			}
			fallthrough
		default:
			name := f.name
			if f.kind == pTS && t.typ == wireBytes {
				name = "ts_ns"
			}
			r.dst = AppendStr(r.dst, name)
			if !r.value(b, from, &t, f, depth) {
				r.under([]byte(f.name))
				return -1
			}
		}
		n += pairs
	}
	if s == protoEvent && (seen>>protoPayload&1 != 0 || old.form != formNone) {
		if old.form == formNone && seen>>protoType&1 == 0 {
			old.form = formStatusUpdate // the number 0 is not on the wire
		}
		n += r.first(&old)
	}
	return n
}

// The numbers of Event's fields that the first version had too.
const (
	protoType    = 3
	protoPayload = 4
)

// value appends the value of the field t, which begins at b[from].
func (r *protoReader) value(b []byte, from int, t *protoToken, f *protoField, depth int) bool {
	want := uint8(wireBytes)
	switch f.kind {
	case pInt, pUint, pBool:
		want = wireVarint
	case pMs:
		want = wireFixed64
	case pTS:
		return r.instant(t)
	}
	if t.typ != want {
		return r.fail(CodeType, "has another wire type in eyrie.proto")
	}
	switch f.kind {
	case pText, pType:
		r.dst = AppendStr(r.dst, t.body)
	case pBytes:
		r.dst = AppendBin(r.dst, t.body)
	case pInt:
		r.dst = AppendInt(r.dst, int64(t.v))
	case pUint:
		r.dst = AppendUint(r.dst, t.v)
	case pBool:
		r.dst = AppendBool(r.dst, t.v != 0)
	case pMs:
		r.dst = AppendNumber(r.dst, math.Float64frombits(t.v))
	case pValue:
		return r.any(t.body, depth)
	case pMessage:
		return r.message(t.body, f.sub, depth)
	case pTexts, pOneText, pMessages:
		return r.list(b, from, t, f, depth)
	case pNumbers, pLabels, pValues:
		if depth >= MaxDepth {
			return r.fail(CodeDepth, "nested deeper than 16")
		}
		header := len(r.dst)
		r.dst = append(r.dst, 0x80)
		n := r.entries(b, from, t, f.kind, depth+1)
		if n < 0 {
			return false
		}
		r.dst = closeContainer(r.dst, header, n, 0x80)
	}
	return true
}

// instant appends Unix ms, an int64 as varint or fixed64, or the Unix ns of a google.protobuf.Timestamp.
func (r *protoReader) instant(t *protoToken) bool {
	switch t.typ {
	case wireVarint, wireFixed64:
		r.dst = AppendInt(r.dst, int64(t.v))
		return true
	case wireBytes:
		var s, ns int64
		var p protoToken
		for i := 0; i < len(t.body); {
			if i = readProto(t.body, i, &p); i < 0 || p.typ != wireVarint {
				return r.fail(CodeType, "wants Unix ms or a google.protobuf.Timestamp")
			}
			switch p.num {
			case 1:
				s = int64(p.v)
			case 2:
				ns = int64(p.v)
			}
		}
		if s < 0 || s > maxUnixMs/1000 || ns < 0 || ns >= 1e9 {
			return r.fail(CodeRange, "an instant lies between 1970 and 2100")
		}
		r.dst = AppendInt(r.dst, s*1e9+ns)
		return true
	}
	return r.fail(CodeType, "wants Unix ms or a google.protobuf.Timestamp")
}

// list appends all elements of the repeated field t, the first of which begins at b[from].
func (r *protoReader) list(b []byte, from int, t *protoToken, f *protoField, depth int) bool {
	if depth >= MaxDepth {
		return r.fail(CodeDepth, "nested deeper than 16")
	}
	header, n, num := len(r.dst), 0, t.num
	r.dst = append(r.dst, 0x90)
	var e protoToken
	for i := from; i < len(b); {
		if i = readProto(b, i, &e); i < 0 {
			return r.broken()
		}
		switch {
		case e.num != num:
			continue
		case e.typ != wireBytes:
			return r.fail(CodeType, "has another wire type in eyrie.proto")
		case f.kind == pMessages:
			if !r.message(e.body, f.sub, depth+1) {
				return false
			}
		default:
			r.dst = AppendStr(r.dst, e.body)
		}
		n++
	}
	if n == 1 && f.kind == pOneText {
		r.dst = append(r.dst[:header], r.dst[header+1:]...)
		return true
	}
	r.dst = closeContainer(r.dst, header, n, 0x90)
	return true
}

// entries appends all pairs of the map field t, the first of which begins at b[from], and returns how many they are,
// -1 after a fault.
func (r *protoReader) entries(b []byte, from int, t *protoToken, kind protoKind, depth int) (n int) {
	num := t.num
	var e protoToken
	for i := from; i < len(b); n++ {
		if i = readProto(b, i, &e); i < 0 {
			r.broken()
			return -1
		}
		if e.num != num {
			n--
			continue
		}
		if e.typ != wireBytes {
			r.fail(CodeType, "has another wire type in eyrie.proto")
			return -1
		}
		if !r.entry(e.body, kind, depth) {
			return -1
		}
	}
	return n
}

// entry appends one pair of a map; a key or value that is not on the wire is empty or zero.
func (r *protoReader) entry(b []byte, kind protoKind, depth int) bool {
	var t, val protoToken
	var key []byte
	for i := 0; i < len(b); {
		if i = readProto(b, i, &t); i < 0 {
			return r.broken()
		}
		switch t.num {
		case 1:
			if key = t.body; t.typ != wireBytes {
				return r.fail(CodeType, "names are strings")
			}
		case 2:
			val = t
		}
	}
	r.dst = AppendStr(r.dst, key)
	want := uint8(wireBytes)
	if kind == pNumbers {
		want = wireFixed64
	}
	if val.num != 0 && val.typ != want {
		return r.fail(CodeType, "has another wire type in eyrie.proto") || r.under(key)
	}
	switch kind {
	case pNumbers:
		r.dst = AppendNumber(r.dst, math.Float64frombits(val.v))
	case pLabels:
		r.dst = AppendStr(r.dst, val.body)
	default:
		return r.any(val.body, depth) || r.under(key)
	}
	return true
}

// any appends the Value b, which lies inside depth maps and arrays. It reads google.protobuf.Value too. A whole number
// in a double becomes an integer.
func (r *protoReader) any(b []byte, depth int) bool {
	var t, p protoToken
	for i := 0; i < len(b); {
		if i = readProto(b, i, &p); i < 0 {
			return r.broken()
		}
		if p.num <= uint64(len(valueTypes)-1) {
			t = p // the last one counts, as in any oneof
		}
	}
	if t.num != 0 && valueTypes[t.num] != t.typ {
		return r.fail(CodeType, "has another wire type in eyrie.proto")
	}
	switch t.num {
	case 0, 1:
		r.dst = AppendNil(r.dst)
	case 2:
		r.dst = AppendNumber(r.dst, math.Float64frombits(t.v))
	case 3:
		r.dst = AppendStr(r.dst, t.body)
	case 4:
		r.dst = AppendBool(r.dst, t.v != 0)
	case 5:
		return r.structure(t.body, depth)
	case 6:
		return r.values(t.body, depth)
	case 7:
		r.dst = AppendInt(r.dst, int64(t.v))
	case 8:
		r.dst = AppendUint(r.dst, t.v)
	case 9:
		r.dst = AppendBin(r.dst, t.body)
	}
	return true
}

// structure appends the Struct b.
func (r *protoReader) structure(b []byte, depth int) bool {
	if depth >= MaxDepth {
		return r.fail(CodeDepth, "nested deeper than 16")
	}
	header := len(r.dst)
	r.dst = append(r.dst, 0x80)
	n := r.entries(b, 0, &protoToken{num: 1}, pValues, depth+1)
	if n < 0 {
		return false
	}
	r.dst = closeContainer(r.dst, header, n, 0x80)
	return true
}

// values appends the List b.
func (r *protoReader) values(b []byte, depth int) bool {
	if depth >= MaxDepth {
		return r.fail(CodeDepth, "nested deeper than 16")
	}
	header, n := len(r.dst), 0
	r.dst = append(r.dst, 0x90)
	var t protoToken
	for i := 0; i < len(b); {
		if i = readProto(b, i, &t); i < 0 {
			return r.broken()
		}
		if t.num != 1 {
			continue
		}
		if t.typ != wireBytes {
			return r.fail(CodeType, "has another wire type in eyrie.proto")
		}
		if !r.any(t.body, depth+1) {
			return false
		}
		n++
	}
	r.dst = closeContainer(r.dst, header, n, 0x90)
	return true
}

// valueTypes are the wire types of Value's fields.
var valueTypes = [...]uint8{1: wireVarint, 2: wireFixed64, 3: wireBytes, 4: wireVarint, 5: wireBytes, 6: wireBytes, 7: wireVarint, 8: wireVarint, 9: wireBytes}
