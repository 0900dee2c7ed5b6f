package workload

import (
	"fmt"

	"eyrie/engine/wire"
)

// Stream makes the events of one connection, in the order of their numbers.
type Stream struct {
	dice   dice
	actors []actor
	runs   []uint64 // the run of each team
	ids    uint64   // spans named so far, counted above the connection's own bits
	conn   uint64
	salt   uint64 // of the seed
	seq    uint64
}

// salt keeps the spans of different seeds apart; that of figures has none.
func salt(seed uint64) uint64 { return mix(seed) ^ mix(FigureSeed) }

// NewStream returns the stream of connection conn of the shape, before number 1.
func NewStream(sh Shape, conn int) *Stream {
	s := &Stream{dice: dice(mix(sh.Seed) ^ mix(uint64(conn)+0x5eed)), conn: uint64(conn) + 1, salt: salt(sh.Seed), seq: 1}
	first, n := sh.agents(conn)
	s.actors = make([]actor, n)
	team := -1
	for i := range s.actors {
		num := first + i
		if t := num / Team; t != team {
			team = t
			s.runs = append(s.runs, s.span())
		}
		a := &s.actors[i]
		a.id, a.team = AgentID(num), int32(len(s.runs)-1)
		if num%Team != 0 {
			a.manager = AgentID(num - num%Team)
		}
		a.model = uint8(s.dice.below(len(modelNames)))
		a.context = uint32(s.dice.between(2_000, 30_000))
	}
	return s
}

// NewRun returns the stream of the workers of one team in run number n, a run of
// its own that does not end: about half of its events name it.
func NewRun(sh Shape, n int) *Stream {
	s := &Stream{dice: dice(mix(sh.Seed) ^ mix(uint64(n)+0x10e5)), conn: runBit | uint64(n), salt: salt(sh.Seed), seq: 1}
	s.runs = []uint64{s.span()}
	lead := n * Team % max(sh.Agents/Team*Team, Team)
	for i := 1; i < Team; i++ {
		s.actors = append(s.actors, actor{id: AgentID(lead + i), manager: AgentID(lead), model: uint8(s.dice.below(len(modelNames))), context: uint32(s.dice.between(2_000, 30_000))})
	}
	return s
}

// runBit keeps the spans of runs apart from those of connections.
const runBit = 1 << 20

// Run returns the id of the run that the stream's first team is in.
func (s *Stream) Run() string { return fmt.Sprintf("%016x", s.runs[0]) }

// Seq returns the number of the next event.
func (s *Stream) Seq() uint64 { return s.seq }

// Agents returns the ids of the agents that the stream speaks for, managers first
// in their team.
func (s *Stream) Agents() []string {
	out := make([]string, len(s.actors))
	for i := range s.actors {
		out[i] = s.actors[i].id
	}
	return out
}

// span names a span that no other stream of any seed has.
func (s *Stream) span() uint64 {
	s.ids++
	return mix((s.conn<<40 | s.ids) ^ s.salt)
}

// Append appends the payload of the next event, which happened at ts (Unix ms).
func (s *Stream) Append(dst []byte, ts int64) []byte {
	a := &s.actors[0]
	if len(s.actors) > 1 {
		a = &s.actors[s.dice.below(len(s.actors))]
	}
	s.seq++
	dst = s.emit(dst, a, ts)
	a.advance(&s.dice)
	return dst
}

// AppendMessage appends the payload of a message of the first agent as the next
// event, outside the mix.
func (s *Stream) AppendMessage(dst []byte, ts int64) []byte {
	s.seq++
	a := &s.actors[0]
	return s.message(dst, a, s.runs[a.team], ts)
}

func (s *Stream) emit(b []byte, a *actor, ts int64) []byte {
	run := s.runs[a.team]
	switch a.step {
	case stepBegin:
		if a.lead() {
			s.runs[a.team] = s.span()
			a.top = s.runs[a.team]
			b = head(b, 6, "run", a.id, ts)
			b = phase(b, "start")
			b = id(b, "span", a.top)
			return text(b, "name", taskNames[s.dice.below(len(taskNames))])
		}
		a.top = s.span()
		b = head(b, 9, "task", a.manager, ts)
		b = phase(b, "start")
		b = id(b, "span", a.top)
		b = id(b, "parent", run)
		b = text(b, "to", a.id)
		b = id(b, "run", run)
		return text(b, "name", taskNames[s.dice.below(len(taskNames))])
	case stepThink:
		a.pick = a.model
		if s.dice.below(8) == 0 {
			a.pick = smallModel
		}
		return s.begin(b, a, "llm", modelNames[a.pick], run, ts)
	case stepAnswer:
		b = head(b, 7, "llm", a.id, ts)
		b = end(b, a.call, "ok")
		return s.usage(b, a)
	case stepCall:
		a.pick = uint8(s.dice.below(len(toolNames)))
		return s.begin(b, a, "tool", toolNames[a.pick], run, ts)
	case stepReturn:
		return s.toolEnd(b, a, ts)
	case stepReport:
		return s.metrics(b, a, ts)
	case stepTell:
		return s.message(b, a, run, ts)
	}
	kind := "task"
	if a.lead() {
		kind = "run"
	}
	return end(head(b, 6, kind, a.id, ts), a.top, "ok")
}

func (s *Stream) begin(b []byte, a *actor, kind, name string, run uint64, ts int64) []byte {
	a.call = s.span()
	b = head(b, 8, kind, a.id, ts)
	b = phase(b, "start")
	b = id(b, "span", a.call)
	b = id(b, "parent", a.top)
	b = id(b, "run", run)
	return text(b, "name", name)
}

func (s *Stream) toolEnd(b []byte, a *actor, ts int64) []byte {
	a.done++
	switch n := s.dice.below(200); {
	case n < 6:
		b = end(head(b, 7, "tool", a.id, ts), a.call, "error")
		b = wire.AppendMapHeader(wire.AppendStr(b, "error"), 2)
		b = text(b, "code", errorCodes[n%len(errorCodes)])
		return text(b, "msg", "the call failed")
	case n == 6:
		return end(head(b, 6, "tool", a.id, ts), a.call, "denied")
	}
	return end(head(b, 6, "tool", a.id, ts), a.call, "ok")
}

func (s *Stream) usage(b []byte, a *actor) []byte {
	in, out := s.dice.between(200, 4000), s.dice.between(20, 1500)
	cached := int(a.context)
	if a.context += uint32(in + out); a.context > 180_000 {
		a.context = 8_000 // compacted
	}
	b = wire.AppendMapHeader(wire.AppendStr(b, "usage"), 6)
	b = text(b, "model", modelNames[a.pick])
	b = num(b, "input_tokens", in)
	b = num(b, "output_tokens", out)
	b = num(b, "cache_read_tokens", cached)
	b = num(b, "reasoning_tokens", out/3)
	return num(b, "cost_nanousd", in*3000+out*15000+cached*300)
}

func (s *Stream) metrics(b []byte, a *actor, ts int64) []byte {
	b = head(b, 4, "metrics", a.id, ts)
	b = wire.AppendMapHeader(wire.AppendStr(b, "metrics"), 4)
	b = wire.AppendFloat(wire.AppendStr(b, "latency_ms"), float64(s.dice.between(20_000, 900_000))/100)
	b = num(b, "context_tokens", int(a.context))
	b = num(b, "queue", s.dice.below(20))
	return num(b, "calls", int(a.done))
}

func (s *Stream) message(b []byte, a *actor, run uint64, ts int64) []byte {
	to := a.manager
	if a.lead() {
		to = "person"
	}
	b = head(b, 7, "message", a.id, ts)
	b = text(b, "to", to)
	b = id(b, "run", run)
	b = text(b, "kind", "result")
	b = wire.AppendStr(b, "msg")
	at := len(b)
	b = append(b, 0xd9, 0) // str 8: the length follows the words
	for want := s.dice.between(20, 55); len(b)-at-2 < want; {
		w := s.dice.next()
		b = append(append(b, words[w%uint64(len(words))]...), ' ')
	}
	b[at+1] = byte(len(b) - at - 2)
	return b
}

// head begins a payload of n members: type, agent and ts are three of them.
func head(b []byte, n int, kind, agent string, ts int64) []byte {
	b = append(b, 0x80|byte(n))
	b = text(b, "type", kind)
	b = text(b, "agent", agent)
	return wire.AppendUint(wire.AppendStr(b, "ts"), uint64(ts))
}

// end appends phase, span and status.
func end(b []byte, span uint64, status string) []byte {
	return text(id(phase(b, "end"), "span", span), "status", status)
}

func phase(b []byte, p string) []byte { return text(b, "phase", p) }

func text(b []byte, name, s string) []byte { return wire.AppendStr(wire.AppendStr(b, name), s) }

func num(b []byte, name string, n int) []byte {
	return wire.AppendInt(wire.AppendStr(b, name), int64(n))
}

// id appends a name and 16 hexadecimal digits.
func id(b []byte, name string, x uint64) []byte {
	const digits = "0123456789abcdef"
	b = wire.AppendStr(b, name)
	b = append(b, 0xa0|16)
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, digits[x>>shift&15])
	}
	return b
}

// Mix is the mix in one line, for reports.
const Mix = "seeded fleet of teams (1 manager, 12 workers): tool 39 %, llm 31 % (half with usage), metrics 15 % (4 gauges each), task and run 8 %, message 7 %; 132 B of MessagePack an event, all distinct"
