package wire

import (
	"encoding/base64"
	"math"
	"strconv"
	"unicode/utf8"
)

// printDepthMax bounds the recursion of AppendJSONValue; stored payloads stay below MaxDepth.
const printDepthMax = 64

// AppendJSONValue appends one MessagePack value as JSON that is inert wherever it lands: in strings and names, <, >,
// &, control characters, DEL, C1, bidi and other invisible format characters, U+2028 and U+2029 are \u escapes, and
// so is the first letter of __proto__. Bytes become base64 text, NaN and infinities null, invalid UTF-8 U+FFFD,
// extensions {"$ext": type, "data": base64}, names that are no strings their JSON text; integers keep every digit.
// On an error (truncated, deeper than 64) dst comes back as it was.
func AppendJSONValue(dst []byte, msgpackValue []byte) ([]byte, error) {
	out, i, ok := printValue(dst, msgpackValue, 0, 0)
	if !ok || i != len(msgpackValue) {
		return dst, &FieldError{Code: CodeSyntax, Msg: "not one MessagePack value"}
	}
	return out, nil
}

// AppendEventJSON appends a payload as AppendJSONValue does, with ts_ns as a string of digits.
func AppendEventJSON(dst []byte, payload []byte) ([]byte, error) {
	out, i, ok := printEvent(dst, payload)
	if !ok || i != len(payload) {
		return dst, &FieldError{Code: CodeSyntax, Msg: "not one MessagePack map"}
	}
	return out, nil
}

func printEvent(dst, b []byte) ([]byte, int, bool) {
	k, n, i := token(b, 0)
	if k != kMap {
		return dst, 0, false
	}
	dst = append(dst, '{')
	for j := range n {
		if j > 0 {
			dst = append(dst, ',')
		}
		name, next, ok := readStr(b, i)
		if !ok {
			return dst, i, false
		}
		dst = append(AppendJSONString(dst, name), ':')
		i = next
		quote := false
		if string(name) == "ts_ns" {
			k, _, _ := token(b, i)
			quote = k == kInt
		}
		if quote {
			dst = append(dst, '"')
		}
		if dst, i, ok = printValue(dst, b, i, 1); !ok {
			return dst, i, false
		}
		if quote {
			dst = append(dst, '"')
		}
	}
	return append(dst, '}'), i, true
}

func printValue(dst, b []byte, i, depth int) ([]byte, int, bool) {
	k, n, next := token(b, i)
	switch k {
	case kNil:
		return append(dst, "null"...), next, true
	case kBool:
		return strconv.AppendBool(dst, b[i] == 0xc3), next, true
	case kInt:
		v, big, _ := readInt(b, i)
		if big {
			return strconv.AppendUint(dst, uint64(v), 10), next, true
		}
		return strconv.AppendInt(dst, v, 10), next, true
	case kFloat:
		f, _ := readFloat(b, i)
		return appendJSONFloat(dst, f, next-i == 5), next, true
	case kStr:
		return AppendJSONString(dst, b[next:next+n]), next + n, true
	case kBin:
		return appendBase64(dst, b[next:next+n]), next + n, true
	case kExt:
		dst = strconv.AppendInt(append(dst, `{"$ext":`...), int64(int8(b[next])), 10)
		dst = appendBase64(append(dst, `,"data":`...), b[next+1:next+n])
		return append(dst, '}'), next + n, true
	case kArray:
		return printArray(dst, b, next, n, depth)
	case kMap:
		return printMap(dst, b, next, n, depth)
	}
	return dst, i, false
}

func printArray(dst, b []byte, i, n, depth int) ([]byte, int, bool) {
	if depth >= printDepthMax {
		return dst, i, false
	}
	dst = append(dst, '[')
	for j := range n {
		if j > 0 {
			dst = append(dst, ',')
		}
		var ok bool
		if dst, i, ok = printValue(dst, b, i, depth+1); !ok {
			return dst, i, false
		}
	}
	return append(dst, ']'), i, true
}

func printMap(dst, b []byte, i, n, depth int) ([]byte, int, bool) {
	if depth >= printDepthMax {
		return dst, i, false
	}
	dst = append(dst, '{')
	for j := range n {
		if j > 0 {
			dst = append(dst, ',')
		}
		name, next, ok := readStr(b, i)
		if ok {
			dst = AppendJSONString(dst, name)
			i = next
		} else {
			var text []byte
			if text, i, ok = printValue(nil, b, i, depth+1); !ok {
				return dst, i, false
			}
			dst = AppendJSONString(dst, text)
		}
		dst = append(dst, ':')
		if dst, i, ok = printValue(dst, b, i, depth+1); !ok {
			return dst, i, false
		}
	}
	return append(dst, '}'), i, true
}

// appendJSONFloat writes the shortest text that reads back as the same number; from 2^53 on with an exponent, so
// that it is not taken for an integer.
func appendJSONFloat(dst []byte, f float64, single bool) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	size := 64
	if single {
		size = 32
	}
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1<<53) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, size)
}

func appendBase64(dst, p []byte) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, p)
	return append(dst, '"')
}

// plain marks the ASCII characters that JSON strings of ours carry as they are.
var plain = func() (t [256]bool) {
	for c := 0x20; c < 0x7f; c++ {
		t[c] = c != '"' && c != '\\' && c != '<' && c != '>' && c != '&'
	}
	return t
}()

// AppendJSONString appends s as an inert JSON string, as AppendJSONValue says.
func AppendJSONString[S ~string | ~[]byte](dst []byte, s S) []byte {
	dst = append(dst, '"')
	if len(s) == len("__proto__") && string(s) == "__proto__" {
		return append(dst, `\u005f_proto__"`...)
	}
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plain[c] {
			i++
			continue
		}
		if c < 0x80 {
			dst = append(dst, s[from:i]...)
			dst = appendEscape(dst, c)
			i++
			from = i
			continue
		}
		r, n := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
		switch {
		case r == utf8.RuneError && n == 1:
			dst = append(append(dst, s[from:i]...), `\ufffd`...)
		case inertRune(r):
			dst = appendUnicode(append(dst, s[from:i]...), r)
		default:
			i += n
			continue
		}
		i += n
		from = i
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return appendUnicode(dst, rune(c))
}

const hexDigits = "0123456789abcdef"

func appendUnicode(dst []byte, r rune) []byte {
	if r >= 0x10000 {
		r -= 0x10000
		return appendUnicode(appendUnicode(dst, 0xd800+r>>10), 0xdc00+r&0x3ff)
	}
	return append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// inertRune reports whether a character beyond ASCII acts instead of being seen: C1 controls (CSI among them), bidi
// marks and overrides, joiners and other invisible format characters, line and paragraph separators, tags.
func inertRune(r rune) bool {
	switch {
	case r < 0x80:
		return false
	case r < 0xa0, r == 0xad, r == 0x61c, r == 0x180e, r == 0xfeff:
		return true
	case r < 0x200b:
		return false
	case r <= 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2060 && r <= 0x206f, r >= 0xfff9 && r <= 0xfffb, r >= 0xe0000 && r <= 0xe007f:
		return true
	}
	return false
}
