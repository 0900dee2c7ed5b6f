package wire

import (
	"encoding/binary"
	"math/bits"
)

// View reads a stored payload without decoding it: Reset notes where the known top-level fields start, the other
// methods read them there. All bytes alias the payload. Reset writes, the others only read; nothing allocates.
type View struct {
	b    []byte
	seen uint64
	pos  [fieldCount]uint32
}

// Reset points v at a payload. Fields that are nil count as absent; of a field given twice the first counts.
// It fails on what is not one MessagePack map, and v is then empty.
func (v *View) Reset(payload []byte) error {
	v.b, v.seen = nil, 0
	k, n, i := token(payload, 0)
	if k != kMap {
		return &FieldError{Code: CodeType, Msg: "a payload is a MessagePack map"}
	}
	var seen uint64
	for ; n > 0; n-- {
		if i >= len(payload) {
			return errNoName
		}
		f := FUnknown
		if kn := uint(payload[i]) - 0xa0; kn-1 < 8 && i+9 <= len(payload) {
			w := load8(payload, i+1) << ((64 - 8*kn) & 63)
			if s := fieldWords.slot(w, 0); s.word == w && uint(s.n) == kn {
				f = Field(s.v)
			}
			i += 1 + int(kn)
		} else {
			from, n := strAt(payload, i)
			if n < 0 {
				return errNoName
			}
			if s := fieldWords.find(0, payload, from, n); s != nil {
				f = Field(s.v)
			}
			i = from + n
		}
		if i >= len(payload) {
			return errTruncated
		}
		c := payload[i]
		if bit := uint64(1) << f; seen&bit == 0 && c != 0xc0 {
			seen |= bit &^ (1 << FUnknown)
			v.pos[f] = uint32(i)
		}
		if size := flatSizes[c]; size == 0 {
			var ok bool
			if i, ok = skipAny(payload, i); !ok {
				return errTruncated
			}
		} else if i += int(size); i > len(payload) {
			return errTruncated
		}
	}
	if i != len(payload) {
		return &FieldError{Code: CodeSyntax, Msg: "more after the map"}
	}
	v.b, v.seen = payload, seen
	return nil
}

var (
	errNoName    = &FieldError{Code: CodeSyntax, Msg: "a name is not a string"}
	errTruncated = &FieldError{Code: CodeSyntax, Msg: "truncated MessagePack"}
)

// Payload returns what Reset was given, nil after a failure.
func (v *View) Payload() []byte { return v.b }

// Has reports whether the field is there.
func (v *View) Has(f Field) bool { return v.seen>>f&1 == 1 }

// Count returns how many known fields are there.
func (v *View) Count() int { return bits.OnesCount64(v.seen) }

// Str returns a field that is a string or bytes, else nil.
func (v *View) Str(f Field) []byte {
	if !v.Has(f) {
		return nil
	}
	i := int(v.pos[f])
	if n := uint(v.b[i]) - 0xa0; n < 32 {
		return v.b[i+1 : i+1+int(n)]
	}
	k, n, next := token(v.b, i)
	if k != kStr && k != kBin {
		return nil
	}
	return v.b[next : next+n]
}

// Int returns a field that is a whole number within int64.
func (v *View) Int(f Field) (int64, bool) {
	if !v.Has(f) {
		return 0, false
	}
	x, big, ok := readInt(v.b, int(v.pos[f]))
	return x, ok && !big
}

// Float returns a field that is a number.
func (v *View) Float(f Field) (float64, bool) {
	if !v.Has(f) {
		return 0, false
	}
	return readFloat(v.b, int(v.pos[f]))
}

// Bool returns a field that is true.
func (v *View) Bool(f Field) bool { return v.Has(f) && v.b[v.pos[f]] == 0xc3 }

// Raw returns the field's value as MessagePack, nil when absent.
func (v *View) Raw(f Field) []byte {
	if !v.Has(f) {
		return nil
	}
	i := int(v.pos[f])
	end, _ := skipAny(v.b, i)
	return v.b[i:end]
}

// word returns the number of a field's word, and whether it says one.
func (v *View) word(f Field) (uint8, bool) {
	if !v.Has(f) {
		return 0, false
	}
	i := int(v.pos[f])
	n := uint(v.b[i]) - 0xa0
	if n-1 < 8 && i+9 <= len(v.b) {
		w := load8(v.b, i+1) << ((64 - 8*n) & 63)
		if s := enumWords.slot(w, uint8(f)); s.word == w && uint(s.n) == n && s.set == uint8(f) {
			return s.v, true
		}
		return 0, false
	}
	s := v.Str(f)
	if e := enumWords.find(uint8(f), s, 0, len(s)); e != nil {
		return e.v, true
	}
	return 0, false
}

// Type returns the event's type.
func (v *View) Type() Type { t, _ := v.word(FType); return Type(t) }

// Phase returns the event's phase, PhaseWhole when none was given.
func (v *View) Phase() Phase { p, _ := v.word(FPhase); return Phase(p) }

// Severity returns the event's severity, info when none was given.
func (v *View) Severity() Severity {
	if s, ok := v.word(FSeverity); ok {
		return Severity(s)
	}
	return SeverityInfo
}

// Status returns how the span ended, 0 when not told.
func (v *View) Status() Status { s, _ := v.word(FStatus); return Status(s) }

// SpanID returns the span; for a run or task that names none, its run or task id.
func (v *View) SpanID() []byte {
	if s := v.Str(FSpan); len(s) > 0 {
		return s
	}
	switch v.Type() {
	case TypeRun:
		return v.Str(FRun)
	case TypeTask:
		return v.Str(FTask)
	}
	return nil
}

// TS returns the instant in Unix ns, ts_ns before ts, 0 when none was given.
func (v *View) TS() int64 {
	if v.Has(FTSNs) {
		if ns, _, ft := checkInstantNs(v.b, int(v.pos[FTSNs])); !ft.bad() && ns != 0 {
			return ns
		}
	}
	return v.instant(FTS)
}

// Start returns the field start in Unix ns, 0 when absent.
func (v *View) Start() int64 { return v.instant(FStart) }

func (v *View) instant(f Field) int64 {
	if !v.Has(f) {
		return 0
	}
	i := int(v.pos[f])
	if v.b[i] == 0xcf {
		if ms := binary.BigEndian.Uint64(v.b[i+1:]); ms <= maxUnixMs {
			return int64(ms) * 1e6
		}
		return 0
	}
	ns, _, ft := checkInstantMs(v.b, i)
	if ft.bad() {
		return 0
	}
	return ns
}

// Dur returns dur_ms in nanoseconds.
func (v *View) Dur() (ns int64, ok bool) {
	ms, ok := v.Float(FDurMs)
	if !ok || !(ms >= 0 && ms <= maxUnixMs) {
		return 0, false
	}
	return msToNs(ms), true
}

// Began returns when the span began, Unix ns: start, else the instant less the duration, else the instant of a
// start or of a span without duration; 0 when it cannot be told.
func (v *View) Began() int64 {
	if s := v.Start(); s != 0 {
		return s
	}
	ts := v.TS()
	if d, ok := v.Dur(); ok && ts > d {
		return ts - d
	}
	if p := v.Phase(); p == PhaseStart || p == PhaseWhole {
		return ts
	}
	return 0
}

// State returns the declared state, what it waits on and who says so; ok when there is a state.
func (v *View) State() (state, on, by []byte, ok bool) {
	if !v.Has(FState) {
		return nil, nil, nil, false
	}
	if state = v.Str(FState); state != nil {
		return state, v.Str(FOn), v.Str(FBy), true
	}
	eachPair(v.b, int(v.pos[FState]), func(name []byte, at int) {
		s, _, _ := readStr(v.b, at)
		switch string(name) {
		case "state":
			state = s
		case "on":
			on = s
		case "by":
			by = s
		}
	})
	if on == nil {
		on = v.Str(FOn)
	}
	if by == nil {
		by = v.Str(FBy)
	}
	return state, on, by, len(state) > 0
}

// Error returns the error's code and text; ok when there is one.
func (v *View) Error() (code, msg []byte, ok bool) {
	if !v.Has(FError) {
		return nil, nil, false
	}
	if msg = v.Str(FError); msg != nil {
		return nil, msg, true
	}
	ok = eachPair(v.b, int(v.pos[FError]), func(name []byte, at int) {
		s, _, _ := readStr(v.b, at)
		switch string(name) {
		case "code":
			code = s
		case "msg":
			msg = s
		}
	})
	return code, msg, ok
}

// To returns each id in `to`.
func (v *View) To(fn func(id []byte)) {
	if !v.Has(FTo) {
		return
	}
	k, n, i := token(v.b, int(v.pos[FTo]))
	if k == kStr {
		fn(v.b[i : i+n])
	}
	for ; k == kArray && n > 0; n-- {
		s, next, ok := readStr(v.b, i)
		if ok {
			fn(s)
			i = next
		} else if i, ok = skipAny(v.b, i); !ok {
			return
		}
	}
}

// Links returns each of `links`.
func (v *View) Links(fn func(span, kind []byte)) {
	if !v.Has(FLinks) {
		return
	}
	k, n, i := token(v.b, int(v.pos[FLinks]))
	for ; k == kArray && n > 0; n-- {
		var span, kind []byte
		eachPair(v.b, i, func(name []byte, at int) {
			s, _, _ := readStr(v.b, at)
			switch string(name) {
			case "span":
				span = s
			case "kind":
				kind = s
			}
		})
		fn(span, kind)
		i, _ = skipAny(v.b, i)
	}
}

// Numbers calls fn for each entry of metrics, counters or deltas, in the order sent.
func (v *View) Numbers(f Field, fn func(name []byte, x float64)) {
	if !v.Has(f) {
		return
	}
	k, n, i := token(v.b, int(v.pos[f]))
	if k != kMap {
		return
	}
	for ; n > 0; n-- {
		from, kn := strAt(v.b, i)
		if kn < 0 {
			return
		}
		i = from + kn
		name := v.b[from:i]
		if x, next := uintAt(v.b, i); next > 0 {
			fn(name, float64(x))
			i = next
			continue
		}
		if x, ok := readFloat(v.b, i); ok {
			fn(name, x)
		}
		var ok bool
		if i, ok = skipAny(v.b, i); !ok {
			return
		}
	}
}

// Strings calls fn for each entry of labels (or another map of texts) that is a string, in the order sent.
func (v *View) Strings(f Field, fn func(k, val []byte)) {
	if v.Has(f) {
		eachPair(v.b, int(v.pos[f]), func(name []byte, at int) {
			if s, _, ok := readStr(v.b, at); ok {
				fn(name, s)
			}
		})
	}
}

// Attr returns the raw MessagePack value of one name in attrs, nil when absent.
func (v *View) Attr(name string) (raw []byte) {
	if v.Has(FAttrs) {
		eachPair(v.b, int(v.pos[FAttrs]), func(k []byte, at int) {
			if string(k) == name {
				end, _ := skipAny(v.b, at)
				raw = v.b[at:end]
			}
		})
	}
	return raw
}

// eachPair calls fn with the name and the value's index for each pair of the map at b[i].
func eachPair(b []byte, i int, fn func(name []byte, at int)) bool {
	k, n, i := token(b, i)
	if k != kMap {
		return false
	}
	for ; n > 0; n-- {
		name, next, ok := readStr(b, i)
		if !ok {
			return false
		}
		fn(name, next)
		if i, ok = skipAny(b, next); !ok {
			return false
		}
	}
	return true
}
