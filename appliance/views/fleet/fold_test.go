package fleet

import (
	"fmt"
	"testing"

	"eyrie/engine/wire"
	"eyrie/wal/block"

	"github.com/tinylib/msgp/msgp"
)

// dict is the log's dictionary.
type dict struct{ list [][2]string }

func (d *dict) add(space, id string) uint32 {
	d.list = append(d.list, [2]string{space, id})
	return uint32(len(d.list))
}

func (d *dict) Agent(n uint32) (space, id string, ok bool) {
	if n == 0 || int(n) > len(d.list) {
		return "", "", false
	}
	return d.list[n-1][0], d.list[n-1][1], true
}

func put(bb *block.Builder, num uint32, recv int64, e *wire.Event) {
	h := wire.Head{Phase: e.Phase, Severity: e.Severity}
	if h.Severity == 0 {
		h.Severity = wire.SeverityInfo
	}
	bb.Append(&block.Record{Kind: block.KindEvent, Class: uint8(e.Type), Flags: h.Flags(), Producer: num, Agent: num, Recv: recv, Payload: e.AppendMsgpack(nil)}, -1)
}

func parse(b *block.Block) []wire.View {
	vs := make([]wire.View, b.Len())
	for i := range vs {
		if r := b.Record(i); r.Kind == block.KindEvent {
			if err := vs[i].Reset(r.Payload); err != nil {
				panic(err)
			}
		}
	}
	return vs
}

const t0 = int64(1_700_000_000e9)

// world drives a view by hand.
type world struct {
	t    *testing.T
	v    *View
	d    *dict
	now  int64
	next uint64
}

func newWorld(t *testing.T, ids ...string) *world {
	w := &world{t: t, d: &dict{}, now: t0, next: 1}
	for _, id := range ids {
		w.d.add("main", id)
	}
	w.v = New(w.d)
	return w
}

func (w *world) num(id string) uint32 {
	for i, x := range w.d.list {
		if x[1] == id {
			return uint32(i + 1)
		}
	}
	w.t.Fatalf("no agent %s", id)
	return 0
}

func (w *world) apply(b *block.Builder) {
	blk := b.Block()
	w.next = blk.Next()
	w.v.Apply(blk, 0, parse(blk))
}

// say folds events of an agent, a millisecond apart, at the instant they state or now.
func (w *world) say(id string, es ...wire.Event) {
	b := block.NewBuilder(w.next, 16, 1<<12)
	for i := range es {
		w.now += 1e6
		if es[i].TS == 0 {
			es[i].TS = w.now
		}
		put(b, w.num(id), w.now, &es[i])
	}
	w.apply(b)
}

func (w *world) record(r block.Record) {
	b := block.NewBuilder(w.next, 16, 1<<12)
	r.Recv = w.now
	b.Append(&r, -1)
	w.apply(b)
}

// pass lets time go by with a tick each second.
func (w *world) pass(seconds int) {
	for range seconds {
		w.now += 1e9
		w.record(block.Record{Kind: block.KindTick})
	}
}

func (w *world) row(id string) Agent {
	w.t.Helper()
	r, ok := w.v.Get("main", id)
	if !ok {
		w.t.Fatalf("no row for %s", id)
	}
	return r
}

func linkRecord(class uint8, agent uint32, link uint64) block.Record {
	p := msgp.AppendUint64(msgp.AppendString(msgp.AppendMapHeader(nil, 1), "link"), link)
	return block.Record{Kind: block.KindLink, Class: class, Agent: agent, Producer: agent, Payload: p}
}

func start(typ wire.Type, span, name string) wire.Event {
	return wire.Event{Type: typ, Phase: wire.PhaseStart, Span: span, Name: name}
}

func end(typ wire.Type, span string, st wire.Status) wire.Event {
	return wire.Event{Type: typ, Phase: wire.PhaseEnd, Span: span, Status: st}
}

func tool(i int, input string, st wire.Status) []wire.Event {
	s := start(wire.TypeTool, fmt.Sprint("t", i), "Bash")
	s.Input = input
	return []wire.Event{s, end(wire.TypeTool, s.Span, st)}
}

// An agent that says nothing for a day is given up and marked so; the next
// word brings it back. A promise, or a wait for a person, keeps it.
func TestGoneByInference(t *testing.T) {
	w := newWorld(t, "quiet", "promised", "asks", "past")
	w.say("quiet", wire.Event{Type: wire.TypeMessage, Msg: "x"})
	w.say("promised", wire.Event{Type: wire.TypeAgent, HeartbeatMs: 1000})
	w.say("asks", wire.Event{Type: wire.TypeState, State: &wire.State{State: "waiting", On: "person"}})
	w.say("past", wire.Event{Type: wire.TypeMessage, Msg: "read from a file", TS: w.now - 3*goneAfter})
	w.pass(1)
	if r := w.row("past"); !r.Ended || r.EndedBy != "fold" || r.Show != "ended" {
		t.Errorf("an agent of three days ago: ended %v by %q, shown %s", r.Ended, r.EndedBy, r.Show)
	}
	if r := w.row("quiet"); r.Ended {
		t.Error("given up too early")
	}
	w.now += goneAfter
	w.pass(1)
	for id, want := range map[string]bool{"quiet": true, "promised": false, "asks": false} {
		if r := w.row(id); r.Ended != want {
			t.Errorf("%s after a day: ended %v, want %v", id, r.Ended, want)
		}
	}
	w.say("quiet", wire.Event{Type: wire.TypeMessage, Msg: "back"})
	if r := w.row("quiet"); r.Ended || r.EndedBy != "" {
		t.Errorf("after its next word: ended %v by %q", r.Ended, r.EndedBy)
	}
}
