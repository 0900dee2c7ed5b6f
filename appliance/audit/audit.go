package audit

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/tinylib/msgp/msgp"
)

// Entry is one action.
type Entry struct {
	N      uint64 `json:"n"`                // from 1, without a gap
	At     int64  `json:"ts_ns"`            // Unix ns
	Action string `json:"action"`           // noun.verb: token.create
	Object string `json:"object"`           // what it was done to
	By     string `json:"by"`               // id of the key, local for who ran a command on the data folder, system for eyrie itself
	Remote string `json:"remote,omitempty"` // address it came from
	Detail string `json:"detail,omitempty"`
}

// Class of the system records that hold entries.
const Class = 3

// Hash is SHA-256 over the hash of the record before and the bytes of this one
// up to its own hash. Before the first stands the hash of the log's id.
type Hash = [sha256.Size]byte

// A payload is a MessagePack map, its keys in this order, the hash last. Records
// of releases before the chain have neither n nor hash.
const fields = 8

var hashKey = msgp.AppendString(nil, "hash")

// Chain is where a log's chain stands.
type Chain struct {
	n    uint64
	last Hash
}

// NewChain returns the beginning of the chain of the log with this id.
func NewChain(log [16]byte) Chain {
	return Chain{last: sha256.Sum256(append([]byte("eyrie audit "), log[:]...))}
}

// Append appends e, with the next number, as a payload, and moves the chain on.
func (c *Chain) Append(dst []byte, e *Entry) []byte {
	e.N = c.n + 1
	at := len(dst)
	dst = msgp.AppendMapHeader(dst, fields)
	dst = msgp.AppendUint64(msgp.AppendString(dst, "n"), e.N)
	dst = msgp.AppendInt64(msgp.AppendString(dst, "ts_ns"), e.At)
	for _, f := range [...][2]string{{"action", e.Action}, {"object", e.Object}, {"by", e.By}, {"remote", e.Remote}, {"detail", e.Detail}} {
		dst = msgp.AppendString(msgp.AppendString(dst, f[0]), f[1])
	}
	dst = append(dst, hashKey...)
	c.n, c.last = e.N, c.over(dst[at:])
	return msgp.AppendBytes(dst, c.last[:])
}

func (c *Chain) over(body []byte) Hash {
	h := sha256.New()
	h.Write(c.last[:])
	h.Write(body)
	var sum Hash
	h.Sum(sum[:0])
	return sum
}

// Resume continues behind a payload that is in the log; false if it has no hash.
func (c *Chain) Resume(payload []byte) bool {
	e, hash, _, err := decode(payload)
	if err != nil || e.N == 0 {
		return false // of a release before the chain
	}
	c.n, c.last = e.N, hash
	return true
}

// Tail returns where the chain of the log with this id stands: behind the newest
// entry. newest calls the function with payloads of entries, newest first, until
// it returns true or later.
func Tail(log [16]byte, newest func(func(payload []byte) bool)) Chain {
	c := NewChain(log)
	newest(func(payload []byte) bool { return c.n != 0 || c.Resume(payload) })
	return c
}

// Len returns how many entries the chain has.
func (c *Chain) Len() uint64 { return c.n }

// errNot is returned for a payload that is no entry.
var errNot = errors.New("the audit record cannot be read")

// Decode reads a payload. Of a record from before the chain, N is 0.
func Decode(payload []byte) (Entry, Hash, error) {
	e, h, _, err := decode(payload)
	return e, h, err
}

// decode also returns what the hash is over, beside the one before.
func decode(payload []byte) (e Entry, hash Hash, body []byte, err error) {
	n, rest, err := msgp.ReadMapHeaderBytes(payload)
	if err != nil {
		return e, hash, nil, errNot
	}
	for range n {
		var key []byte
		if key, rest, err = msgp.ReadStringZC(rest); err != nil {
			return e, hash, nil, errNot
		}
		text := map[string]*string{"action": &e.Action, "object": &e.Object, "by": &e.By, "remote": &e.Remote, "detail": &e.Detail}[string(key)]
		switch {
		case text != nil:
			*text, rest, err = msgp.ReadStringBytes(rest)
		case string(key) == "n":
			e.N, rest, err = msgp.ReadUint64Bytes(rest)
		case string(key) == "ts_ns":
			e.At, rest, err = msgp.ReadInt64Bytes(rest)
		case string(key) == "hash":
			body = payload[:len(payload)-len(rest)]
			var p []byte
			if p, rest, err = msgp.ReadBytesZC(rest); err == nil && copy(hash[:], p) != len(hash) {
				err = errNot
			}
		default:
			rest, err = msgp.Skip(rest)
		}
		if err != nil {
			return e, hash, nil, errNot
		}
	}
	if len(rest) != 0 || (e.N != 0) != (body != nil) {
		return e, hash, nil, errNot
	}
	return e, hash, body, nil
}

// Check follows a chain and finds what was removed or changed.
type Check struct {
	c     Chain
	begun bool // the first entry was seen
	torn  bool // the log itself has lost records before the next entry
}

// NewCheck checks the chain of the log with this id, from its beginning.
func NewCheck(log [16]byte) *Check { return &Check{c: NewChain(log)} }

// Lost tells that the log is known to have lost records here: what the next
// entry follows from cannot be told.
func (k *Check) Lost() { k.torn = true }

// Len returns how many entries were followed.
func (k *Check) Len() uint64 { return k.c.n }

// Next checks the next payload. An error says how it does not follow from those
// before it; the check goes on behind it.
func (k *Check) Next(payload []byte) error {
	e, hash, body, err := decode(payload)
	if err != nil {
		return err
	}
	if e.N == 0 {
		if k.begun {
			return errors.New("an audit record without a hash stands behind one that has it")
		}
		return nil // of a release before the chain
	}
	was := k.c
	want := was.over(body)
	k.c = Chain{n: e.N, last: hash}
	torn := k.torn
	k.begun, k.torn = true, false
	switch {
	case torn && e.N > was.n:
		return nil
	case e.N != was.n+1:
		return fmt.Errorf("audit entry %d follows entry %d: others were removed", e.N, was.n)
	case !bytes.Equal(want[:], hash[:]):
		return fmt.Errorf("audit entry %d does not follow from the one before it: one of them was changed", e.N)
	}
	return nil
}
