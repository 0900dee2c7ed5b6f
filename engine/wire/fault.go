package wire

// The codes of a FieldError. Programs may rely on them.
const (
	CodeType      = "type"       // a value of the wrong type
	CodeRange     = "range"      // a number or instant outside its range
	CodeMissing   = "missing"    // a required field is absent
	CodeUnknownOp = "unknown_op" // no such message
	CodeSize      = "size"       // longer, larger or more than the limit
	CodeDepth     = "depth"      // nested deeper than MaxDepth
	CodeUTF8      = "utf8"       // text that is not UTF-8
	CodeEnum      = "enum"       // a word that is not one of the named ones
	CodeSyntax    = "syntax"     // not MessagePack or not JSON
	CodeBlob      = "blob"       // a blob that the server does not have: put it first
	CodeDuplicate = "duplicate"  // a field given twice
)

// FieldError tells what is wrong with a message or an event, and where. It is made on the error path only.
type FieldError struct {
	Code  string // one of the codes
	Field string // path like events[3].usage.input_tokens; "" = the message itself; printable, at most 256 bytes
	Msg   string // what was wanted and what was got, for people
}

// Error joins code, field and text.
func (e *FieldError) Error() string {
	if e.Field == "" {
		return e.Code + ": " + e.Msg
	}
	return e.Code + ": " + e.Field + ": " + e.Msg
}

// fault is a FieldError in the making: found at an offset, path and text not yet spelled out; nil means no fault. A
// pointer, because it comes back in one register; only bad input pays for it.
type fault struct {
	code string
	at   int    // offset of the value, or of the key, that is at fault
	want string // constant text
	name string // field below `at` that is missing, else ""
}

func (f *fault) bad() bool { return f != nil }

// path builds a FieldError's Field. Keys are chosen by strangers: made printable and cut short.
type path struct{ b []byte }

const pathMax, pathKeyMax = 256, 64

func (p *path) key(k []byte) {
	if len(p.b) >= pathMax {
		return
	}
	if len(p.b) > 0 {
		p.b = append(p.b, '.')
	}
	cut := len(k) > pathKeyMax
	if cut {
		k = k[:pathKeyMax]
	}
	for _, r := range string(k) {
		if r < 0x20 || r == 0x7f || r == '.' || r == '[' || r == 0xfffd || inertRune(r) {
			r = '?'
		}
		p.b = append(p.b, string(r)...)
	}
	if cut {
		p.b = append(p.b, '~')
	}
}

func (p *path) index(i int) {
	if len(p.b) < pathMax {
		p.b = append(p.b, '[')
		p.b = appendDecimal(p.b, uint64(i))
		p.b = append(p.b, ']')
	}
}

// packFault spells out a fault in the MessagePack value that starts at b[start].
func packFault(prefix string, b []byte, start int, f *fault) *FieldError {
	p := path{b: []byte(prefix)}
	packPath(&p, b, start, f.at)
	if f.name != "" {
		p.key([]byte(f.name))
	}
	msg := f.want
	switch f.code {
	case CodeType:
		if k, _, _ := token(b, f.at); k != kBad {
			msg += ", got " + kindNames[k]
		}
	case CodeEnum:
		if k, n, next := token(b, f.at); k == kStr {
			var q path
			q.key(b[next : next+n])
			msg += ", got " + string(q.b)
		}
	}
	return &FieldError{Code: f.code, Field: string(p.b), Msg: msg}
}

// packPath appends the path from the value at b[start] to the token at offset at.
func packPath(p *path, b []byte, start, at int) {
	type level struct {
		arr  bool
		left uint64
		idx  int
		key  []byte
	}
	var stack []level
	i := start
	for i < at {
		k, n, next := token(b, i)
		if k == kBad {
			break
		}
		if top := len(stack) - 1; top >= 0 && !stack[top].arr && stack[top].left&1 == 0 && k == kStr {
			stack[top].key = b[next : next+n]
		}
		switch k {
		case kStr, kBin, kExt:
			i = next + n
		case kArray, kMap:
			i = next
			if n > 0 {
				if len(stack) > 4*MaxDepth {
					at = i // too deep to name in full
					continue
				}
				l := level{arr: k == kArray, left: uint64(n)}
				if k == kMap {
					l.left *= 2
				}
				stack = append(stack, l)
				continue
			}
		default:
			i = next
		}
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			top.left--
			top.idx++
			if top.left > 0 {
				break
			}
			stack = stack[:len(stack)-1]
		}
	}
	for j := range stack {
		l := &stack[j]
		switch {
		case l.arr:
			p.index(l.idx)
		case l.left&1 == 1 || i > at:
			p.key(l.key)
		default: // the key itself is at fault
			if k, n, next := token(b, i); k == kStr {
				p.key(b[next : next+n])
			}
		}
	}
}
