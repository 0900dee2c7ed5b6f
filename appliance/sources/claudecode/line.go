package claudecode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Fault is a part of a line that could not be read.
type Fault struct {
	Offset int    // in the line, in bytes
	Code   string // "two_objects", "syntax", "type", "too_long"
	Msg    string
	Kept   int // objects of the line that were read all the same
}

// split calls fn for every JSON object of a line. A line holds one; a broken one may hold two, or an object
// behind rubbish: those are found, and the fault says where the line breaks.
func split(line []byte, fn func(obj []byte)) *Fault {
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return nil
	}
	if json.Valid(line) {
		fn(line)
		return nil
	}
	var fault *Fault
	kept := 0
	for at := 0; at < len(line); {
		n, err := firstObject(line[at:])
		if err == nil {
			if kept > 0 && fault == nil {
				fault = &Fault{Offset: at, Code: "two_objects", Msg: fmt.Sprintf("a second object begins at byte %d of the line", at)}
			}
			fn(line[at : at+n])
			kept++
			at += n
			continue
		}
		if fault == nil {
			fault = &Fault{Offset: at + n, Code: "syntax", Msg: fmt.Sprintf("%v, at byte %d of the line", err, at+n)}
		}
		// Go on behind the break: where one object ends and the next begins.
		next := bytes.Index(line[min(at+max(n-1, 1), len(line)):], []byte(`}{"`))
		if next < 0 {
			break
		}
		at += max(n-1, 1) + next + 1
	}
	if fault != nil {
		fault.Kept = kept
	}
	return fault
}

// firstObject returns the length of the JSON object that b begins with, or where it breaks and why.
func firstObject(b []byte) (int, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	var raw json.RawMessage
	if err := d.Decode(&raw); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return int(syntax.Offset), err
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return len(b), errors.New("the line ends inside an object")
		}
		return 0, err
	}
	if len(raw) == 0 || raw[0] != '{' {
		return 1, errors.New("want an object")
	}
	return int(d.InputOffset()), nil
}
