package live

import (
	"strconv"
	"strings"
	"unsafe"

	"eyrie/appliance/query"
	"eyrie/engine/wire"

	"github.com/tinylib/msgp/msgp"
)

// depthMax bounds how deep texts are sought; payloads are checked to be less deep.
const depthMax = 32

// view of bytes as a string, for as long as the bytes live.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// values walks what a payload holds: every text, the keys below the top level
// with it, and every number as JSON writes it. Of the top level it leaves out what the
// envelope says. It stops when a function, either may be nil, returns true, and
// at damage.
type values struct {
	text, number func(string) bool
	found        bool
	digits       [32]byte
}

func (w *values) payload(b []byte) bool {
	n, b, err := msgp.ReadMapHeaderBytes(b)
	for ; err == nil && n > 0 && !w.found; n-- {
		var k []byte
		if k, b, err = msgp.ReadMapKeyZC(b); err != nil {
			break
		}
		if envelope(k) {
			b, err = msgp.Skip(b)
			continue
		}
		b, err = w.value(b, 0)
	}
	return w.found
}

// value walks the value at the beginning of b and returns what follows it.
func (w *values) value(b []byte, depth int) (rest []byte, err error) {
	if len(b) == 0 {
		return nil, msgp.ErrShortBytes
	}
	switch msgp.NextType(b) {
	case msgp.StrType, msgp.BinType:
		var s []byte
		if b[0] >= 0xc4 && b[0] <= 0xc6 {
			s, b, err = msgp.ReadBytesZC(b)
		} else {
			s, b, err = msgp.ReadStringZC(b)
		}
		if err == nil && w.text != nil {
			w.found = w.text(view(s))
		}
		return b, err
	case msgp.MapType:
		n, b, err := msgp.ReadMapHeaderBytes(b)
		for ; err == nil && n > 0 && !w.found && depth < depthMax; n-- {
			for range 2 { // a key is a value too
				if b, err = w.value(b, depth+1); err != nil || w.found {
					break
				}
			}
		}
		return b, err
	case msgp.ArrayType:
		n, b, err := msgp.ReadArrayHeaderBytes(b)
		for ; err == nil && n > 0 && !w.found && depth < depthMax; n-- {
			b, err = w.value(b, depth+1)
		}
		return b, err
	case msgp.IntType, msgp.UintType, msgp.Float32Type, msgp.Float64Type:
		rest, err := msgp.Skip(b)
		if err == nil && w.number != nil {
			if out, bad := wire.AppendJSONValue(w.digits[:0], b[:len(b)-len(rest)]); bad == nil {
				w.found = w.number(view(out))
			}
		}
		return rest, err
	}
	return msgp.Skip(b)
}

// Texts shows the texts that free words are sought in.
func (e *eventRow) Texts(fn func(string) bool) bool {
	if fn(e.agent) {
		return true
	}
	w := values{text: fn}
	return w.payload(e.rec.Payload)
}

// Numbers shows the numbers that a free word may be.
func (e *eventRow) Numbers(fn func(string) bool) bool {
	w := values{number: fn}
	return w.payload(e.rec.Payload)
}

// RawField tells of the fields of an event which are, where they are a text,
// that text as it lies in the payload: see query.Words.
func RawField(name string) bool {
	switch name {
	case "space", "agent", "type", "phase", "severity", "error":
		return false
	}
	return true
}

// Each shows every value of a field that has several: the items of an array.
func (e *eventRow) Each(name string, fn func(query.Value) bool) bool {
	if envelope([]byte(name)) {
		return false
	}
	if path(e.rec.Payload, name, fn) {
		return true
	}
	for _, f := range [...]wire.Field{wire.FLabels, wire.FAttrs} {
		if path(e.w.Raw(f), name, fn) {
			return true
		}
	}
	return false
}

// path shows the values that a path of names leads to, with dots between them and
// whatever their case, until fn returns true. Names of the payload may have dots of
// their own; a number counts into an array, and a path that ends at one leads to its items.
func path(b []byte, name string, fn func(query.Value) bool) bool {
	return step(b, name, fn, 0)
}

func step(b []byte, name string, fn func(query.Value) bool, depth int) bool {
	if len(b) == 0 || depth == depthMax {
		return false
	}
	switch msgp.NextType(b) {
	case msgp.MapType:
		n, b, err := msgp.ReadMapHeaderBytes(b)
		for ; err == nil && n > 0; n-- {
			var k []byte
			if k, b, err = msgp.ReadMapKeyZC(b); err != nil {
				break
			}
			if len(k) <= len(name) && strings.EqualFold(view(k), name[:len(k)]) {
				if len(k) == len(name) && leaf(b, fn) || len(k) < len(name) && name[len(k)] == '.' && step(b, name[len(k)+1:], fn, depth+1) {
					return true
				}
			}
			b, err = msgp.Skip(b)
		}
	case msgp.ArrayType:
		first, rest, more := strings.Cut(name, ".")
		i, err := strconv.ParseUint(first, 10, 31)
		n, items, bad := msgp.ReadArrayHeaderBytes(b)
		if err != nil || bad != nil || i >= uint64(n) {
			return false
		}
		for ; i > 0; i-- {
			if items, err = msgp.Skip(items); err != nil {
				return false
			}
		}
		if more {
			return step(items, rest, fn, depth+1)
		}
		return leaf(items, fn)
	}
	return false
}

// leaf shows the value at the beginning of b, or those of the array there.
func leaf(b []byte, fn func(query.Value) bool) bool {
	if len(b) > 0 && msgp.NextType(b) == msgp.ArrayType {
		n, items, err := msgp.ReadArrayHeaderBytes(b)
		for ; err == nil && n > 0; n-- {
			if v, ok := scalar(items); ok && fn(v) {
				return true
			}
			items, err = msgp.Skip(items)
		}
		return false
	}
	v, ok := scalar(b)
	return ok && fn(v)
}

// scalar is the value at the beginning of b, unless that is a map or an array.
func scalar(b []byte) (query.Value, bool) {
	if len(b) == 0 {
		return query.Value{}, false
	}
	switch msgp.NextType(b) {
	case msgp.StrType:
		s, _, err := msgp.ReadStringZC(b)
		return query.T(view(s)), err == nil && len(s) > 0
	case msgp.BoolType:
		x, _, err := msgp.ReadBoolBytes(b)
		return query.B(x), err == nil
	case msgp.IntType:
		x, _, err := msgp.ReadInt64Bytes(b)
		return query.N(float64(x)), err == nil
	case msgp.UintType:
		x, _, err := msgp.ReadUint64Bytes(b)
		return query.N(float64(x)), err == nil
	case msgp.Float32Type:
		x, _, err := msgp.ReadFloat32Bytes(b)
		return query.N(float64(x)), err == nil
	case msgp.Float64Type:
		x, _, err := msgp.ReadFloat64Bytes(b)
		return query.N(x), err == nil
	}
	return query.Value{}, false
}
