package wire

import "math"

// appendProtoMessage appends the MessagePack map at b[i] as a message, without what frames it. A name that the message
// has not, or whose value does not fit its field, goes to `extra` where there is one, so that the reader judges it as it
// would in the other codecs. Maps and arrays without entries are left out. ok is false for what is no such map.
func appendProtoMessage(dst, b []byte, i int, s *protoSchema, depth int) (out []byte, next int, ok bool) {
	k, n, i := token(b, i)
	if k != kMap || depth >= printDepthMax {
		return dst, i, false
	}
	for ; n > 0; n-- {
		name, at, ok := readStr(b, i)
		if !ok {
			return dst, i, false
		}
		if i, ok = skipAny(b, at); !ok {
			return dst, i, false
		}
		if b[at] == 0xc0 {
			continue
		}
		num := s.find(name)
		if num > 0 && s.fields[num].name == "unit" && isMap(b, at) {
			num++ // units
		}
		if num > 0 {
			if dst, ok = appendProtoField(dst, b, at, num, &s.fields[num], depth); ok {
				continue
			}
		}
		if last := len(s.fields) - 1; s.fields[last].kind == pExtra {
			var at0 int
			dst, at0 = openProto(dst, last)
			if dst, ok = appendEntry(dst, b, name, at, pValues, depth); !ok {
				return dst, i, false
			}
			dst = closeProto(dst, at0)
		}
	}
	return dst, i, true
}

func isMap(b []byte, i int) bool { k, _, _ := token(b, i); return k == kMap }

// appendProtoField appends the value at b[at] as field num; where it does not fit, dst comes back as it was.
func appendProtoField(dst, b []byte, at, num int, f *protoField, depth int) (out []byte, ok bool) {
	k, n, next := token(b, at)
	was := len(dst)
	switch f.kind {
	case pText, pType:
		if k == kStr {
			return appendProtoBytes(dst, num, b[next:next+n]), true
		}
	case pBytes:
		if k == kStr || k == kBin {
			return appendProtoBytes(dst, num, b[next:next+n]), true
		}
	case pInt, pTS:
		if v, big, ok := readInt(b, at); ok && !big {
			return appendProtoUint(dst, num, uint64(v)), true
		}
	case pUint:
		if v, big, ok := readInt(b, at); ok && (v >= 0 || big) {
			return appendProtoUint(dst, num, uint64(v)), true
		}
	case pMs:
		if v, ok := exactNumber(b, at); ok {
			return appendProtoDouble(dst, num, v), true
		}
	case pBool:
		if k == kBool {
			return appendProtoUint(dst, num, uint64(b[at]&1)), true
		}
	case pValue, pMessage:
		dst, body := openProto(dst, num)
		switch {
		case f.kind == pValue:
			dst, ok = appendProtoValue(dst, b, at, depth)
		case k == kStr && f.name == "error":
			dst, ok = appendProtoBytes(dst, f.sub.find([]byte("msg")), b[next:next+n]), true
		case k == kStr && f.name == "state":
			dst, ok = appendProtoBytes(dst, f.sub.find([]byte("state")), b[next:next+n]), true
		default:
			dst, _, ok = appendProtoMessage(dst, b, at, f.sub, depth+1)
		}
		if ok {
			return closeProto(dst, body), true
		}
		return dst[:was], false
	case pTexts, pOneText, pMessages:
		if k == kStr && f.kind == pOneText {
			return appendProtoBytes(dst, num, b[next:next+n]), true
		}
		if k != kArray {
			break
		}
		for i := next; n > 0; n-- {
			if f.kind == pMessages {
				var body int
				dst, body = openProto(dst, num)
				if dst, i, ok = appendProtoMessage(dst, b, i, f.sub, depth+1); !ok {
					return dst[:was], false
				}
				dst = closeProto(dst, body)
				continue
			}
			s, to, ok := readStr(b, i)
			if !ok {
				return dst[:was], false
			}
			dst, i = appendProtoBytes(dst, num, s), to
		}
		return dst, true
	case pNumbers, pLabels, pValues:
		return appendEntries(dst, b, at, num, f.kind, depth+1)
	}
	return dst, false
}

// exactNumber returns the number at b[i] where a double holds it.
func exactNumber(b []byte, i int) (float64, bool) {
	if v, big, ok := readInt(b, i); ok && (big || v > 1<<53 || v < -1<<53) {
		return 0, false
	}
	return readFloat(b, i)
}

func appendEntries(dst, b []byte, at, num int, kind protoKind, depth int) (out []byte, ok bool) {
	k, n, i := token(b, at)
	was := len(dst)
	if k != kMap || depth >= printDepthMax {
		return dst, false
	}
	for ; n > 0; n-- {
		name, val, ok := readStr(b, i)
		if !ok {
			return dst[:was], false
		}
		var body int
		dst, body = openProto(dst, num)
		if dst, ok = appendEntry(dst, b, name, val, kind, depth); !ok {
			return dst[:was], false
		}
		dst = closeProto(dst, body)
		if i, ok = skipAny(b, val); !ok {
			return dst[:was], false
		}
	}
	return dst, true
}

// appendEntry appends the two fields of a pair of a map.
func appendEntry(dst, b []byte, name []byte, at int, kind protoKind, depth int) (out []byte, ok bool) {
	dst = appendProtoBytes(dst, 1, name)
	switch kind {
	case pNumbers:
		v, ok := exactNumber(b, at)
		return appendProtoDouble(dst, 2, v), ok
	case pLabels:
		s, _, ok := readStr(b, at)
		return appendProtoBytes(dst, 2, s), ok
	}
	dst, body := openProto(dst, 2)
	if dst, ok = appendProtoValue(dst, b, at, depth); !ok {
		return dst, false
	}
	return closeProto(dst, body), true
}

// appendProtoValue appends the fields of a Value.
func appendProtoValue(dst, b []byte, at, depth int) (out []byte, ok bool) {
	k, n, next := token(b, at)
	if depth >= printDepthMax {
		return dst, false
	}
	switch k {
	case kNil:
		return appendProtoUint(dst, 1, 0), true
	case kBool:
		return appendProtoUint(dst, 4, uint64(b[at]&1)), true
	case kInt:
		v, big, _ := readInt(b, at)
		if big {
			return appendProtoUint(dst, 8, uint64(v)), true
		}
		return appendProtoUint(dst, 7, uint64(v)), true
	case kFloat:
		v, _ := readFloat(b, at)
		if math.IsNaN(v) {
			v = math.NaN() // one of its many forms
		}
		return appendProtoDouble(dst, 2, v), true
	case kStr:
		return appendProtoBytes(dst, 3, b[next:next+n]), true
	case kBin:
		return appendProtoBytes(dst, 9, b[next:next+n]), true
	case kArray:
		dst, list := openProto(dst, 6)
		for i := next; n > 0; n-- {
			var body int
			dst, body = openProto(dst, 1)
			if dst, ok = appendProtoValue(dst, b, i, depth+1); !ok {
				return dst, false
			}
			dst = closeProto(dst, body)
			if i, ok = skipAny(b, i); !ok {
				return dst, false
			}
		}
		return closeProto(dst, list), true
	case kMap:
		dst, body := openProto(dst, 5)
		if dst, ok = appendEntries(dst, b, at, 1, pValues, depth+1); !ok {
			return dst, false
		}
		return closeProto(dst, body), true
	}
	return dst, false // extensions, and what is no value
}

// AppendEventProto appends a payload as an Event of eyrie.proto. On an error dst comes back as it was.
func AppendEventProto(dst, payload []byte) ([]byte, error) {
	out, next, ok := appendProtoMessage(dst, payload, 0, protoEvent, 0)
	if !ok || next != len(payload) {
		return dst, &FieldError{Code: CodeSyntax, Msg: "not one MessagePack map"}
	}
	return out, nil
}

// appendProtoEvents appends an events message of an agent.
func appendProtoEvents(dst []byte, seq uint64, pos []byte, payloads [][]byte) []byte {
	dst, body := openProto(dst, 2)
	dst = appendProtoUint(dst, 1, seq)
	if pos != nil {
		dst = appendProtoBytes(dst, 2, pos)
	}
	for _, p := range payloads {
		var ev int
		dst, ev = openProto(dst, 3)
		out, err := AppendEventProto(dst, p)
		if err != nil {
			out = dst // an event without a type: the server names it by its number
		}
		dst = closeProto(out, ev)
	}
	return closeProto(dst, body)
}

// protoOf appends the message in MessagePack that b is, with its op; ok is false for one that eyrie.proto has not.
func protoOf(dst, b []byte) (out []byte, ok bool) {
	var op Op
	eachPair(b, 0, func(name []byte, at int) {
		if string(name) == "op" {
			s, _, _ := readStr(b, at)
			i, _ := indexOf(opNames[:], s)
			op = Op(i)
		}
	})
	num, schema := 0, (*protoSchema)(nil)
	for i, o := range protoAgentOps {
		if o == op && i > 0 {
			num, schema = i, protoAgent[i]
		}
	}
	for i, o := range protoServerOps {
		if o == op && i > 0 {
			num, schema = i, protoServer[i]
		}
	}
	if num == 0 {
		return dst, false
	}
	dst, body := openProto(dst, num)
	if dst, _, ok = appendProtoMessage(dst, b, 0, schema, 0); !ok {
		return dst, false
	}
	return closeProto(dst, body), true
}
