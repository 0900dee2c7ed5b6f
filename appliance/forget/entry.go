package forget

import (
	"errors"

	"github.com/tinylib/msgp/msgp"
)

// Class of the system records that hold entries.
const Class = 4

// What can be forgotten.
const (
	Agent = "agent"
	Run   = "run"
)

// Entry is one record.
type Entry struct {
	What    string   `json:"what"` // agent or run
	Space   string   `json:"space"`
	ID      string   `json:"id"`
	Agents  []uint32 `json:"-"`               // numbers of all whose records are meant
	Records uint64   `json:"records"`         // found when it was asked for; of one that is done, forgotten
	Bytes   uint64   `json:"bytes"`           // of their payloads
	Reason  string   `json:"reason"`          // who asks says why
	By      string   `json:"by"`              // id of the key
	At      int64    `json:"-"`               // Unix ns
	Of      uint64   `json:"of,omitempty"`    // offset of the entry that this one says is done; 0 for one that asks
	Error   string   `json:"error,omitempty"` // what of it could not be read, and so not be forgotten
}

// A payload is a MessagePack map.

// Append appends the payload.
func (e *Entry) Append(dst []byte) []byte {
	dst = msgp.AppendMapHeader(dst, 11)
	for _, f := range [...][2]string{{"what", e.What}, {"space", e.Space}, {"id", e.ID}, {"reason", e.Reason}, {"by", e.By}, {"error", e.Error}} {
		dst = msgp.AppendString(msgp.AppendString(dst, f[0]), f[1])
	}
	for _, f := range [...]struct {
		name string
		n    uint64
	}{{"records", e.Records}, {"bytes", e.Bytes}, {"of", e.Of}} {
		dst = msgp.AppendUint64(msgp.AppendString(dst, f.name), f.n)
	}
	dst = msgp.AppendInt64(msgp.AppendString(dst, "ts_ns"), e.At)
	dst = msgp.AppendArrayHeader(msgp.AppendString(dst, "agents"), uint32(len(e.Agents)))
	for _, a := range e.Agents {
		dst = msgp.AppendUint32(dst, a)
	}
	return dst
}

// ErrNot is returned for a payload that is no entry.
var ErrNot = errors.New("the record of what was forgotten cannot be read")

// Decode reads a payload.
func Decode(payload []byte) (e Entry, err error) {
	n, rest, err := msgp.ReadMapHeaderBytes(payload)
	for ; err == nil && n > 0; n-- {
		var key []byte
		if key, rest, err = msgp.ReadStringZC(rest); err != nil {
			break
		}
		text := map[string]*string{"what": &e.What, "space": &e.Space, "id": &e.ID, "reason": &e.Reason, "by": &e.By, "error": &e.Error}[string(key)]
		number := map[string]*uint64{"records": &e.Records, "bytes": &e.Bytes, "of": &e.Of}[string(key)]
		switch {
		case text != nil:
			*text, rest, err = msgp.ReadStringBytes(rest)
		case number != nil:
			*number, rest, err = msgp.ReadUint64Bytes(rest)
		case string(key) == "ts_ns":
			e.At, rest, err = msgp.ReadInt64Bytes(rest)
		case string(key) == "agents":
			var most uint32
			most, rest, err = msgp.ReadArrayHeaderBytes(rest)
			for ; err == nil && most > 0; most-- {
				var a uint32
				if a, rest, err = msgp.ReadUint32Bytes(rest); err == nil {
					e.Agents = append(e.Agents, a)
				}
			}
		default:
			rest, err = msgp.Skip(rest)
		}
	}
	if err != nil || len(rest) != 0 || e.What != Agent && e.What != Run {
		return Entry{}, ErrNot
	}
	return e, nil
}

// Scope is what views and log are to forget: what they have of records below an
// offset, of agents, or of a run of these.
type Scope struct {
	Space  string
	Agents []uint32
	Run    string // "" for all of the agents
	Below  uint64
	// Again: it was done before, and is done again since a view was folded anew. From the log that
	// view was not given what is forgotten; what it and the others have of the agents by now came later.
	Again bool
}

// Scope returns that of an entry at an offset.
func (e *Entry) Scope(offset uint64) *Scope {
	s := &Scope{Space: e.Space, Agents: e.Agents, Below: offset}
	if e.What == Run {
		s.Run = e.ID
	}
	return s
}

// LinkRest returns what stays of a link record's payload: which link it was and
// what became of it. One that has no more is returned as it is.
func LinkRest(payload []byte) []byte {
	n, b, err := msgp.ReadMapHeaderBytes(payload)
	kept, fields := []byte{}, uint32(0)
	for ; err == nil && n > 0; n-- {
		at := b
		var key []byte
		if key, b, err = msgp.ReadStringZC(b); err != nil {
			break
		}
		if b, err = msgp.Skip(b); err != nil {
			break
		}
		if k := string(key); k == "op" || k == "link" || k == "code" {
			kept = append(kept, at[:len(at)-len(b)]...)
			fields++
		}
	}
	if err != nil {
		return nil
	}
	return append(msgp.AppendMapHeader(nil, fields), kept...)
}
