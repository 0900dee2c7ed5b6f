package workload

import (
	"bytes"
	"container/heap"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"eyrie/appliance/sources/recorded"
	"eyrie/engine/wire"
)

// Recorded runs, overlaid: as many copies of the recordings, in turn, as make the
// agents asked for. Each copy has agents of its own, each time it is played runs,
// sessions, tasks and spans of its own; it begins at a moment of its own, and begins
// anew a pause after its end. A copy that begins in the middle declares its agents
// first. Within a copy the order is the recorded one; the copies of a connection
// are merged by the recorded pace. So bursts within a run are real, and how
// runs meet is not; events are sent at the load's rate, and say that moment.

// tape is a recording made ready to be played many times.
type tape struct {
	name   string
	agents []string // without the copy's mark
	takes  []take
	length int64 // ns, with the pause behind it
}

// take is one event of a tape: a payload with marks in it.
type take struct {
	payload []byte
	at      int64 // ns since the tape's beginning, long silences cut
	agents  []int // where marks of agents stand
	ids     []int // and of everything else that has an id
	ts      int   // where the instant stands, 8 bytes
	start   int   // and that of the beginning, 0 if it has none
	back    int64 // ms that it lies before the instant
	opens   bool  // declares an agent
}

// What stands in a payload until it is played. A mark is a tilde and eight
// hexadecimal digits then.
const (
	agentMark = "~\x02\x03\x02\x03\x02\x03\x02A"
	idMark    = "~\x02\x03\x02\x03\x02\x03\x02I"
	markLen   = len(agentMark)

	tsMark    = 0x37172737475 // ms, of 9 bytes as any
	startMark = 0x37172737476
)

const (
	silenceMax = time.Minute      // of a recording; a longer one is cut
	tapePause  = 15 * time.Second // before a tape begins anew
)

// load reads the recordings and casts as many copies as make the agents.
func (m *Maker) load() error {
	recs, err := recorded.Shipped()
	if len(m.shape.Recordings) > 0 {
		recs, err = nil, nil
		for _, f := range m.shape.Recordings {
			r, e := recorded.LoadFile(f)
			if e != nil {
				return fmt.Errorf("recordings: %w", e)
			}
			recs = append(recs, r)
		}
	}
	if err != nil {
		return err
	}
	for i := range recs {
		t, err := newTape(&recs[i])
		if err != nil {
			return err
		}
		m.tapes = append(m.tapes, t)
	}
	for n := 0; n < m.shape.Agents; {
		t := len(m.cast) % len(m.tapes)
		m.cast = append(m.cast, t)
		n += len(m.tapes[t].agents)
	}
	if m.shape.Connections > len(m.cast) {
		return fmt.Errorf("connections: got %d, want at most %d: so many copies of the recordings make %d agents, and a run is not divided", m.shape.Connections, len(m.cast), m.shape.Agents)
	}
	return nil
}

// Pace is how many events a second the agents send at the recorded speed, in the
// long run; 0 for what is not recorded.
func (m *Maker) Pace() (rate float64) {
	for _, c := range m.cast {
		t := m.tapes[c]
		rate += float64(len(t.takes)) / time.Duration(t.length).Seconds()
	}
	return rate
}

func newTape(r *recorded.Recording) (*tape, error) {
	t := &tape{name: r.Name}
	known := map[string]bool{}
	for i := range r.Events {
		if a := r.Events[i].Agent; !known[a] {
			known[a] = true
			t.agents = append(t.agents, a)
		}
	}
	var cut int64
	for i := range r.Events {
		e := r.Events[i]
		if i > 0 {
			cut += max(0, e.TS-r.Events[i-1].TS-int64(silenceMax))
		}
		k, err := newTake(e, known)
		if err != nil {
			return nil, fmt.Errorf("%s: event %d: %w", r.Name, i+1, err)
		}
		k.at = e.TS - r.Events[0].TS - cut
		t.takes = append(t.takes, k)
	}
	t.length = t.takes[len(t.takes)-1].at + int64(tapePause)
	return t, nil
}

// newTake encodes an event with marks, and notes where they stand.
func newTake(e wire.Event, known map[string]bool) (k take, err error) {
	marked := func(id, mark string) string {
		if id == "" {
			return ""
		}
		return id[:min(len(id), wire.MaxID-markLen)] + mark
	}
	agent := func(id string) string {
		if !known[id] {
			return id // a person
		}
		return marked(id, agentMark)
	}
	if e.Start != 0 {
		k.back = max(0, (e.TS-e.Start)/1e6)
		e.Start = startMark * 1e6
	}
	e.TS, e.TSFrom = tsMark*1e6, "estimated"
	e.Agent, e.Manager = agent(e.Agent), agent(e.Manager)
	e.To = slices.Clone(e.To)
	for i := range e.To {
		e.To[i] = agent(e.To[i])
	}
	for _, id := range []*string{&e.Session, &e.Run, &e.Task, &e.Span, &e.Parent} {
		*id = marked(*id, idMark)
	}
	e.Links = slices.Clone(e.Links)
	for i := range e.Links {
		e.Links[i].Span = marked(e.Links[i].Span, idMark)
	}
	k.opens = e.Type == wire.TypeAgent
	k.payload = e.AppendMsgpack(nil)
	k.agents, k.ids = all(k.payload, []byte(agentMark)), all(k.payload, []byte(idMark))
	for _, p := range []struct {
		ms int64
		at *int
	}{{tsMark, &k.ts}, {startMark, &k.start}} {
		if found := all(k.payload, wire.AppendInt(nil, p.ms)); len(found) == 1 {
			*p.at = found[0] + 1
		}
	}
	if k.ts == 0 || len(k.agents) == 0 {
		return k, fmt.Errorf("its instant or its agent cannot be found again in it")
	}
	return k, nil
}

// all is where mark stands in b.
func all(b, mark []byte) (at []int) {
	for from := 0; ; {
		i := bytes.Index(b[from:], mark)
		if i < 0 {
			return at
		}
		at = append(at, from+i)
		from += i + len(mark)
	}
}

// player plays the copies of one connection.
type player struct {
	copies casts // heap by due
	names  []string
	seq    uint64
}

// cast is one copy of a tape being played.
type cast struct {
	tape  *tape
	agent [8]byte // its mark
	round [8]byte // of this time that it is played
	key   uint64
	times uint64
	first []int // of takes: what is played before the rest, the first time
	next  int   // of takes
	due   int64 // ns of the recorded pace
}

type casts []*cast

func (c casts) Len() int           { return len(c) }
func (c casts) Less(i, j int) bool { return c[i].due < c[j].due }
func (c casts) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }
func (c *casts) Push(x any)        { *c = append(*c, x.(*cast)) }
func (c *casts) Pop() any          { x := (*c)[len(*c)-1]; *c = (*c)[:len(*c)-1]; return x }

// player returns the source of connection conn: every so many'th copy.
func (m *Maker) player(conn int) *player {
	p := &player{seq: 1}
	for n := conn; n < len(m.cast); n += m.shape.Connections {
		c := &cast{tape: m.tapes[m.cast[n]], key: mix(m.shape.Seed) ^ mix(uint64(n)+0x7ec0)}
		digits(&c.agent, uint64(n))
		d := dice(c.key)
		phase := int64(float64(d.next()>>11) / (1 << 53) * float64(c.tape.length))
		c.begin()
		for c.next < len(c.tape.takes)-1 && c.tape.takes[c.next].at < phase {
			if c.tape.takes[c.next].opens {
				c.first = append(c.first, c.next)
			}
			c.next++
		}
		c.due = max(0, c.tape.takes[c.next].at-phase)
		for _, a := range c.tape.agents {
			p.names = append(p.names, a[:min(len(a), wire.MaxID-markLen)]+"~"+string(c.agent[:]))
		}
		p.copies = append(p.copies, c)
	}
	heap.Init(&p.copies)
	return p
}

// begin makes what is played next a time of its own.
func (c *cast) begin() {
	digits(&c.round, mix(c.key+c.times)&0xffffffff)
	c.times++
	c.next = 0
}

// digits writes a number as eight hexadecimal digits.
func digits(to *[8]byte, n uint64) {
	for i := range to {
		to[i] = "0123456789abcdef"[n>>(28-4*i)&15]
	}
}

func (p *player) Append(dst []byte, ts int64) []byte {
	p.seq++
	c := p.copies[0]
	if len(c.first) > 0 {
		k := &c.tape.takes[c.first[0]]
		c.first = c.first[1:]
		return c.play(dst, k, ts)
	}
	k := &c.tape.takes[c.next]
	dst = c.play(dst, k, ts)
	if c.next++; c.next < len(c.tape.takes) {
		c.due += c.tape.takes[c.next].at - k.at
	} else {
		c.begin()
		c.due += int64(tapePause)
	}
	heap.Fix(&p.copies, 0)
	return dst
}

// play appends a take as it happens at ts.
func (c *cast) play(dst []byte, k *take, ts int64) []byte {
	at := len(dst)
	dst = append(dst, k.payload...)
	b := dst[at:]
	for _, i := range k.agents {
		copy(b[i+1:], c.agent[:])
	}
	for _, i := range k.ids {
		copy(b[i+1:], c.round[:])
	}
	binary.BigEndian.PutUint64(b[k.ts:], uint64(ts))
	if k.start > 0 {
		binary.BigEndian.PutUint64(b[k.start:], uint64(ts-k.back))
	}
	return dst
}

func (p *player) AppendMessage(dst []byte, ts int64) []byte {
	p.seq++
	return ping(dst, p.names[0], ts)
}

func (p *player) Seq() uint64      { return p.seq }
func (p *player) Agents() []string { return p.names }
