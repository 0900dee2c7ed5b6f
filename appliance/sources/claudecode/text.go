package claudecode

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"eyrie/appliance/sources"
	"eyrie/engine/wire"
)

// Bounds in bytes. A line's events together stay below lineBytesMax and a bit, so that they fit one frame.
const (
	textBytesMax      = 32 << 10
	lineBytesMax      = 384 << 10
	errorBytesMax     = 1 << 10
	titleBytesMax     = 96
	nameBytesMax      = 96
	labelBytesMax     = 512
	structureBytesMax = 8 << 10 // names and numbers of a tool's arguments
	depthMax          = 10      // of a tool's arguments; deeper ones are sent as text
)

func (f *Fold) full() bool { return f.o.Content == sources.ContentFull }

func (f *Fold) text(s string, bytesMax int) string { return sources.Cut(s, min(bytesMax, f.limit)) }

func (f *Fold) title(s string) string { return sources.Title(s, titleBytesMax) }

func cut(s string, bytesMax int) string { return sources.Cut(s, bytesMax) }

// say puts a text into an event: the text, or its size and hash.
func (f *Fold) say(e *wire.Event, text string) {
	if f.full() {
		e.Msg = f.text(text, textBytesMax)
		return
	}
	setAttr(e, "bytes", len(text))
	setAttr(e, "sha256", hash(text))
}

// arguments puts a call's input into an event: the object, cut where it is long, or its size and hash.
func (f *Fold) arguments(e *wire.Event, raw json.RawMessage) {
	if len(raw) == 0 {
		return
	}
	if !f.full() {
		setAttr(e, "input_bytes", len(raw))
		setAttr(e, "input_sha256", hash(string(raw)))
		return
	}
	e.Input = f.value(raw)
}

// value returns a JSON value as it is, with long strings cut, or cut as text when it is long or deep.
func (f *Fold) value(raw json.RawMessage) any {
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if len(raw) > 4*f.limit || d.Decode(&v) != nil {
		return f.text(string(raw), f.limit)
	}
	sh := shortener{text: f.limit, rest: structureBytesMax}
	v, ok := sh.value(v, depthMax)
	if !ok {
		return f.text(string(raw), f.limit)
	}
	return v
}

// shortener cuts a value's strings so that together they keep within text bytes, its names and numbers within rest.
type shortener struct{ text, rest int }

// value returns v shortened. False: it is too deep, or names and numbers alone are too much.
func (s *shortener) value(v any, depth int) (any, bool) {
	if s.rest -= 10; depth == 0 || s.rest < 0 {
		return nil, false
	}
	switch v := v.(type) {
	case string:
		short := cut(v, max(s.text, 16))
		s.text -= len(short)
		return short, true
	case []any:
		for i := range v {
			var ok bool
			if v[i], ok = s.value(v[i], depth-1); !ok {
				return nil, false
			}
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			var ok bool
			if s.rest -= len(k); s.rest < 0 {
				return nil, false
			}
			if v[k], ok = s.value(v[k], depth-1); !ok {
				return nil, false
			}
		}
	case json.Number:
		s.rest -= len(v)
	}
	return v, true
}

// result puts a call's output into an event: the text, or its size and hash.
func (f *Fold) result(e *wire.Event, text string) {
	if text == "" {
		return
	}
	if f.full() {
		e.Output = f.text(text, textBytesMax)
		return
	}
	setAttr(e, "output_bytes", len(text))
	setAttr(e, "output_sha256", hash(text))
}

// fail puts an outcome into an event. Words of a tool or a model go only with full content.
func (f *Fold) fail(e *wire.Event, o outcome) {
	msg := o.msg
	switch o.code {
	case "malformed_call", "tool_error", "prompt_too_long", "api_error", "no_credit", "quota", "invalid_key":
		if !f.full() {
			msg = ""
		}
	}
	e.Error = &wire.Error{Code: o.code, Msg: cut(msg, errorBytesMax)}
	if o.status == wire.StatusError || o.status == wire.StatusTimeout {
		e.Severity = wire.SeverityWarn
	}
}

// hash is the beginning of the SHA-256 of the parts: enough to see that two texts are the same.
func hash(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:8])
}

// key identifies a text in memory.
func key(parts ...string) uint64 {
	d := xxhash.New()
	for _, p := range parts {
		fmt.Fprintf(d, "%d:", len(p))
		d.WriteString(p)
	}
	return d.Sum64()
}
