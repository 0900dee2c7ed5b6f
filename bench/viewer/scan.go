package viewer

import (
	"bytes"
)

// message is what is counted of a message of the server.
type message struct {
	op    string // events, agents, fleet; "" for any other
	id    int
	items int
}

// The beginnings by which items are counted. In a text of JSON a quote is
// escaped, so neither occurs but where an object begins; the mix and the probe
// have no nested object with such a first member.
var (
	eventItem = []byte(`{"offset":`)
	rowItem   = []byte(`{"space":`)
	markItem  = []byte(`"x_us":`)
	markNext  = []byte(`,"x_n":`)
)

// scan reads the head of a message and counts its items without decoding them.
func scan(p []byte) (m message) {
	rest, ok := bytes.CutPrefix(p, []byte(`{"op":"`))
	if !ok {
		return m
	}
	for _, op := range [...]string{"events", "agents", "fleet"} {
		if !bytes.HasPrefix(rest, []byte(op)) || !bytes.HasPrefix(rest[len(op):], []byte(`","id":`)) {
			continue
		}
		id, n := digits(rest[len(op)+len(`","id":`):])
		if n == 0 {
			return m
		}
		m.op, m.id = op, int(id)
		switch op {
		case "events":
			m.items = bytes.Count(p, eventItem)
		case "agents":
			m.items = bytes.Count(p, rowItem)
		case "fleet":
			m.items = 1
		}
		return m
	}
	return m
}

// marks shows each of the probe's events in a message: when it was due, Unix µs,
// and its number.
func marks(p []byte, fn func(us int64, n uint64)) {
	for {
		i := bytes.Index(p, markItem)
		if i < 0 {
			return
		}
		p = p[i+len(markItem):]
		us, k := digits(p)
		p = p[k:]
		if k == 0 || !bytes.HasPrefix(p, markNext) {
			continue
		}
		p = p[len(markNext):]
		if n, k := digits(p); k > 0 {
			fn(int64(us), n)
			p = p[k:]
		}
	}
}

// digits reads the number that b begins with, and how long it is.
func digits(b []byte) (v uint64, n int) {
	for n < len(b) && n < 19 && b[n] >= '0' && b[n] <= '9' {
		v = v*10 + uint64(b[n]-'0')
		n++
	}
	return v, n
}
