package workload

import (
	"encoding/binary"

	"eyrie/engine/wire"
)

// Encoded is a frame made in advance, whose numbers are filled in when it is
// sent: offering more than a server takes must not cost the client what making
// the events does.
type Encoded struct {
	frame []byte
	seqAt int // of the first number, 8 bytes big-endian, masked
	N     int // events
}

// encodedHead is what stands before the first number: a map of op, events and,
// with a number of fixed length, seq.
const encodedHead = "\x83\xa2op\xa6events\xa3seq\xcf"

// Encode makes a frame of the stream's next n events, of which the last is one
// that the server has to refuse, if bad. MessagePack only.
func (f *Framer) Encode(s Source, n int, ts int64, bad bool) *Encoded {
	ps := make([][]byte, n)
	for i := range ps {
		ps[i] = s.Append(nil, ts)
	}
	if bad {
		b := head(nil, 6, "tool", s.Agents()[0], ts)
		ps[n-1] = text(id(phase(b, "end"), "span", f.mask.next()), "status", "maybe")
	}
	return f.encode(ps)
}

// EncodeCritical makes a frame of one event that is CRITICAL: a question.
func (f *Framer) EncodeCritical(s Source, ts int64) *Encoded {
	b := head(nil, 6, "ask", s.Agents()[0], ts)
	b = id(phase(b, "start"), "span", f.mask.next())
	return f.encode([][]byte{text(b, "msg", "may I?")})
}

func (f *Framer) encode(ps [][]byte) *Encoded {
	f.msg = append(append(f.msg[:0], encodedHead...), make([]byte, 8)...)
	f.msg = wire.AppendArrayHeader(wire.AppendStr(f.msg, "events"), len(ps))
	for _, p := range ps {
		f.msg = append(f.msg, p...)
	}
	frame := f.Frame(nil, f.msg)
	return &Encoded{frame: frame, seqAt: len(frame) - len(f.msg) + len(encodedHead), N: len(ps)}
}

// At fills in the first number and returns the frame, which the next call
// changes.
func (e *Encoded) At(seq uint64) []byte {
	key := e.frame[e.seqAt-len(encodedHead)-4:][:4]
	at := e.frame[e.seqAt : e.seqAt+8]
	binary.BigEndian.PutUint64(at, seq)
	for i := range at {
		at[i] ^= key[(len(encodedHead)+i)&3]
	}
	return e.frame
}
