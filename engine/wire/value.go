package wire

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Raw is one MessagePack value that AppendValue copies as it is.
type Raw []byte

// AppendValue appends a Go value: nil, bool, any integer or float, string, []byte, Raw, json.Number, json.RawMessage,
// []any, []string, map[string]any, map[string]string, map[string]float64. Maps come in the order of their names; a
// string that is not UTF-8 is mended with U+FFFD, another type becomes its fmt text.
func AppendValue(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return AppendNil(dst)
	case bool:
		return AppendBool(dst, v)
	case int:
		return AppendInt(dst, int64(v))
	case int8:
		return AppendInt(dst, int64(v))
	case int16:
		return AppendInt(dst, int64(v))
	case int32:
		return AppendInt(dst, int64(v))
	case int64:
		return AppendInt(dst, v)
	case uint:
		return AppendUint(dst, uint64(v))
	case uint8:
		return AppendUint(dst, uint64(v))
	case uint16:
		return AppendUint(dst, uint64(v))
	case uint32:
		return AppendUint(dst, uint64(v))
	case uint64:
		return AppendUint(dst, v)
	case float32:
		return AppendFloat(dst, float64(v))
	case float64:
		return AppendFloat(dst, v)
	case string:
		return AppendStr(dst, valid(v))
	case Raw:
		if len(v) == 0 {
			return AppendNil(dst)
		}
		return append(dst, v...)
	case json.RawMessage:
		return appendRawJSON(dst, v)
	case json.Number:
		return appendJSONNumber(dst, string(v))
	case []byte:
		return AppendBin(dst, v)
	}
	return appendList(dst, v)
}

func appendList(dst []byte, v any) []byte {
	switch v := v.(type) {
	case []any:
		dst = AppendArrayHeader(dst, len(v))
		for _, x := range v {
			dst = AppendValue(dst, x)
		}
		return dst
	case []string:
		dst = AppendArrayHeader(dst, len(v))
		for _, x := range v {
			dst = AppendStr(dst, valid(x))
		}
		return dst
	case map[string]any:
		dst = AppendMapHeader(dst, len(v))
		for _, k := range sortedKeys(v) {
			dst = AppendValue(AppendStr(dst, valid(k)), v[k])
		}
		return dst
	case map[string]string:
		dst = AppendMapHeader(dst, len(v))
		for _, k := range sortedKeys(v) {
			dst = AppendStr(AppendStr(dst, valid(k)), valid(v[k]))
		}
		return dst
	case map[string]float64:
		dst = AppendMapHeader(dst, len(v))
		for _, k := range sortedKeys(v) {
			dst = AppendNumber(AppendStr(dst, valid(k)), v[k])
		}
		return dst
	}
	return AppendStr(dst, valid(fmt.Sprint(v)))
}

func appendRawJSON(dst []byte, v json.RawMessage) []byte {
	out, err := AppendMsgpackFromJSON(dst, v)
	if err != nil {
		return AppendStr(dst, valid(string(v)))
	}
	return out
}

func appendJSONNumber(dst []byte, s string) []byte {
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return AppendInt(dst, i)
	}
	if u, err := strconv.ParseUint(s, 10, 64); err == nil {
		return AppendUint(dst, u)
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return AppendFloat(dst, f)
	}
	return AppendStr(dst, valid(s))
}

func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

// ReadValue decodes one MessagePack value into nil, bool, int64 (uint64 beyond it), float64, string, []byte, []any or
// map[string]any (of a name given twice the last counts). It copies; it is for code off the hot path.
func ReadValue(raw []byte) (any, error) {
	v, i, ok := readAny(raw, 0, 0)
	if !ok || i != len(raw) {
		return nil, &FieldError{Code: CodeSyntax, Msg: "not one MessagePack value"}
	}
	return v, nil
}

func readAny(b []byte, i, depth int) (v any, next int, ok bool) {
	k, n, next := token(b, i)
	switch k {
	case kNil:
		return nil, next, true
	case kBool:
		return b[i] == 0xc3, next, true
	case kInt:
		x, big, _ := readInt(b, i)
		if big {
			return uint64(x), next, true
		}
		return x, next, true
	case kFloat:
		f, _ := readFloat(b, i)
		return f, next, true
	case kStr:
		return string(b[next : next+n]), next + n, true
	case kBin:
		return append([]byte{}, b[next:next+n]...), next + n, true
	case kExt:
		return append([]byte{}, b[next+1:next+n]...), next + n, true
	case kBad:
		return nil, i, false
	}
	if depth >= printDepthMax {
		return nil, i, false
	}
	i = next
	if k == kArray {
		list := []any{}
		for ; n > 0; n-- {
			var x any
			if x, i, ok = readAny(b, i, depth+1); !ok {
				return nil, i, false
			}
			list = append(list, x)
		}
		return list, i, true
	}
	m := map[string]any{}
	for ; n > 0; n-- {
		name, next, ok := readStr(b, i)
		if !ok {
			return nil, i, false
		}
		var x any
		if x, i, ok = readAny(b, next, depth+1); !ok {
			return nil, i, false
		}
		m[string(name)] = x
	}
	return m, i, true
}

// float64 keeps every integer up to here.
const exactFloat = float64(1 << 53)

// Number returns a number of ReadValue as a float64, and whether it was one that a float64 holds exactly.
func Number(v any) (f float64, exact bool) {
	switch v := v.(type) {
	case int64:
		f = float64(v)
		return f, math.Abs(f) <= exactFloat
	case uint64:
		return float64(v), false
	case float64:
		return v, true
	}
	return 0, false
}
