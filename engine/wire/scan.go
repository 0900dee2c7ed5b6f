package wire

import (
	"math"
	"strconv"
	"unicode/utf8"
	"unsafe"
)

// AppendMsgpackFromJSON appends the JSON value in src, alone but for white space, as MessagePack. Integers stay
// exact (beyond 64 bits they are refused), other numbers become float64, names keep their order and repeats.
// On an error dst comes back as it was.
func AppendMsgpackFromJSON(dst, src []byte) ([]byte, *FieldError) {
	out, i, ft := scanValue(dst, src, skipSpace(src, 0), 0)
	if !ft.bad() {
		if i = skipSpace(src, i); i == len(src) {
			return out, nil
		}
		ft = badJSON(i, "more after the value")
	}
	return dst, jsonFault("", src, 0, ft)
}

func badJSON(at int, want string) *fault { return &fault{code: CodeSyntax, at: at, want: want} }

func skipSpace(src []byte, i int) int {
	for i < len(src) && (src[i] == ' ' || src[i] == '\n' || src[i] == '\t' || src[i] == '\r') {
		i++
	}
	return i
}

// scanValue transcodes the RFC 8259 value at src[i], which lies inside depth containers; it recurses at most
// MaxDepth deep. Faults carry offsets in src.
func scanValue(dst, src []byte, i, depth int) ([]byte, int, *fault) {
	if i >= len(src) {
		return dst, i, badJSON(i, "JSON that ends too early")
	}
	switch c := src[i]; {
	case c == '"':
		return scanString(dst, src, i)
	case c == '{':
		return scanObject(dst, src, i, depth)
	case c == '[':
		return scanArray(dst, src, i, depth)
	case c == '-' || c >= '0' && c <= '9':
		return scanNumber(dst, src, i)
	case c == 't' && hasWord(src, i, "true"):
		return append(dst, 0xc3), i + 4, nil
	case c == 'f' && hasWord(src, i, "false"):
		return append(dst, 0xc2), i + 5, nil
	case c == 'n' && hasWord(src, i, "null"):
		return append(dst, 0xc0), i + 4, nil
	}
	return dst, i, badJSON(i, "no JSON value")
}

func hasWord(src []byte, i int, w string) bool {
	return len(src)-i >= len(w) && string(src[i:i+len(w)]) == w
}

func scanObject(dst, src []byte, i, depth int) ([]byte, int, *fault) {
	if depth >= MaxDepth {
		return dst, i, &fault{code: CodeDepth, at: i, want: "nested deeper than 16"}
	}
	header := len(dst)
	dst = append(dst, 0x80)
	i = skipSpace(src, i+1)
	if i < len(src) && src[i] == '}' {
		return dst, i + 1, nil
	}
	var ft *fault
	for n := 1; ; n++ {
		if i >= len(src) || src[i] != '"' {
			return dst, i, badJSON(i, "wants a name in quotes")
		}
		if dst, i, ft = scanString(dst, src, i); ft.bad() {
			return dst, i, ft
		}
		if i = skipSpace(src, i); i >= len(src) || src[i] != ':' {
			return dst, i, badJSON(i, "wants a colon")
		}
		if dst, i, ft = scanValue(dst, src, skipSpace(src, i+1), depth+1); ft.bad() {
			return dst, i, ft
		}
		if i = skipSpace(src, i); i >= len(src) {
			return dst, i, badJSON(i, "JSON that ends too early")
		}
		switch src[i] {
		case ',':
			i = skipSpace(src, i+1)
		case '}':
			return closeContainer(dst, header, n, 0x80), i + 1, nil
		default:
			return dst, i, badJSON(i, "wants a comma or }")
		}
	}
}

func scanArray(dst, src []byte, i, depth int) ([]byte, int, *fault) {
	if depth >= MaxDepth {
		return dst, i, &fault{code: CodeDepth, at: i, want: "nested deeper than 16"}
	}
	header := len(dst)
	dst = append(dst, 0x90)
	i = skipSpace(src, i+1)
	if i < len(src) && src[i] == ']' {
		return dst, i + 1, nil
	}
	var ft *fault
	for n := 1; ; n++ {
		if dst, i, ft = scanValue(dst, src, i, depth+1); ft.bad() {
			return dst, i, ft
		}
		if i = skipSpace(src, i); i >= len(src) {
			return dst, i, badJSON(i, "JSON that ends too early")
		}
		switch src[i] {
		case ',':
			i = skipSpace(src, i+1)
		case ']':
			return closeContainer(dst, header, n, 0x90), i + 1, nil
		default:
			return dst, i, badJSON(i, "wants a comma or ]")
		}
	}
}

// closeContainer writes the count into the one-byte header at dst[header], moving the body where a longer header
// is needed. base is 0x80 for a map, 0x90 for an array.
func closeContainer(dst []byte, header, n int, base byte) []byte {
	long := byte(0xde)
	if base == 0x90 {
		long = 0xdc
	}
	switch {
	case n < 16:
		dst[header] = base | byte(n)
	case n < 1<<16:
		dst = append(dst, 0, 0)
		copy(dst[header+3:], dst[header+1:])
		dst[header], dst[header+1], dst[header+2] = long, byte(n>>8), byte(n)
	default:
		dst = append(dst, 0, 0, 0, 0)
		copy(dst[header+5:], dst[header+1:])
		dst[header], dst[header+1], dst[header+2] = long+1, byte(n>>24), byte(n>>16)
		dst[header+3], dst[header+4] = byte(n>>8), byte(n)
	}
	return dst
}

// scanNumber follows RFC 8259, section 6.
func scanNumber(dst, src []byte, i int) ([]byte, int, *fault) {
	at := i
	neg := src[i] == '-'
	if neg {
		i++
	}
	digits := i
	var v uint64
	over := false
	for ; i < len(src) && src[i]-'0' <= 9; i++ {
		d := uint64(src[i] - '0')
		if v > (math.MaxUint64-d)/10 {
			over = true
		}
		v = v*10 + d
	}
	if i == digits || src[digits] == '0' && i > digits+1 {
		return dst, at, badJSON(at, "no JSON number")
	}
	whole := true
	if i < len(src) && src[i] == '.' {
		whole = false
		i++
		from := i
		for i < len(src) && src[i]-'0' <= 9 {
			i++
		}
		if i == from {
			return dst, at, badJSON(at, "no JSON number")
		}
	}
	if i < len(src) && src[i]|0x20 == 'e' {
		whole = false
		i++
		if i < len(src) && (src[i] == '+' || src[i] == '-') {
			i++
		}
		from := i
		for i < len(src) && src[i]-'0' <= 9 {
			i++
		}
		if i == from {
			return dst, at, badJSON(at, "no JSON number")
		}
	}
	if whole {
		switch {
		case over || neg && v > 1<<63:
			return dst, at, &fault{code: CodeRange, at: at, want: "an integer beyond 64 bits; send it as a string"}
		case neg && v == 0: // only a float has a negative zero
			return AppendFloat(dst, math.Copysign(0, -1)), i, nil
		case neg:
			return AppendInt(dst, -int64(v)), i, nil
		}
		return AppendUint(dst, v), i, nil
	}
	text := src[at:i]
	f, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(text), len(text)), 64)
	if err != nil {
		return dst, at, &fault{code: CodeRange, at: at, want: "a number beyond 64-bit floats"}
	}
	return AppendFloat(dst, f), i, nil
}

// scanString transcodes the string at src[i]. Raw control characters, bytes that are not UTF-8 and surrogates
// without a partner are refused: none of them can be kept exactly.
func scanString(dst, src []byte, i int) ([]byte, int, *fault) {
	from := i + 1
	j := from
	var high byte
	for ; j < len(src); j++ {
		c := src[j]
		if simple[c] {
			high |= c
			continue
		}
		if c == '"' {
			if high >= 0x80 && !utf8.Valid(src[from:j]) {
				return dst, i, notUTF8(i)
			}
			dst = appendStrHeader(dst, j-from)
			return append(dst, src[from:j]...), j + 1, nil
		}
		if c == '\\' {
			return scanEscaped(dst, src, i, j)
		}
		return dst, i, badJSON(i, "a control character in a string")
	}
	return dst, i, badJSON(i, "a string without an end")
}

// simple marks the bytes that stand for themselves in a JSON string.
var simple = func() (t [256]bool) {
	for c := 0x20; c < 256; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// scanEscaped does a string whose first escape is at src[j].
func scanEscaped(dst, src []byte, at, j int) ([]byte, int, *fault) {
	end := stringEnd(src, at)
	if end < 0 {
		return dst, at, badJSON(at, "a string without an end")
	}
	raw := src[at+1 : end-1]
	if !utf8.Valid(raw) {
		return dst, at, notUTF8(at)
	}
	header := len(dst)
	dst = appendStrHeader(dst, len(raw)) // escapes only shrink: the final header is no longer than this one
	body := len(dst)
	for k := 0; k < len(raw); k++ {
		c := raw[k]
		if c < 0x20 {
			return dst, at, badJSON(at, "a control character in a string")
		}
		if c != '\\' {
			dst = append(dst, c)
			continue
		}
		k++ // stringEnd has seen to it that a byte follows
		switch raw[k] {
		case '"', '\\', '/':
			dst = append(dst, raw[k])
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, ok := hex4(raw, k+1)
			if !ok {
				return dst, at, badJSON(at, "an escape that JSON does not have")
			}
			k += 4
			if r >= 0xd800 && r < 0xe000 {
				lo, ok := rune(0), false
				if r < 0xdc00 && k+6 < len(raw) && raw[k+1] == '\\' && raw[k+2] == 'u' {
					lo, ok = hex4(raw, k+3)
				}
				if !ok || lo < 0xdc00 || lo >= 0xe000 {
					return dst, at, &fault{code: CodeUTF8, at: at, want: "half of a surrogate pair"}
				}
				r = (r-0xd800)<<10 + (lo - 0xdc00) + 0x10000
				k += 6
			}
			dst = utf8.AppendRune(dst, r)
		default:
			return dst, at, badJSON(at, "an escape that JSON does not have")
		}
	}
	n := len(dst) - body
	head := appendStrHeader(dst[:header], n)
	if len(head) != body {
		copy(dst[len(head):], dst[body:])
		dst = dst[:len(head)+n]
	}
	return dst, end, nil
}

func hex4(s []byte, i int) (r rune, ok bool) {
	if i+4 > len(s) {
		return 0, false
	}
	for _, c := range s[i : i+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// stringEnd returns the index behind the string that starts at src[i], -1 when it has no end.
func stringEnd(src []byte, i int) int {
	for i++; i < len(src); i++ {
		if c := src[i]; c == '"' {
			return i + 1
		} else if c == '\\' {
			i++
		}
	}
	return -1
}
