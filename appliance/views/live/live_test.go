package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eyrie/appliance/query"
	"eyrie/engine/wire"
	"eyrie/wal"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a log, a fleet by hand and a hub.
type rig struct {
	t     testing.TB
	log   *wal.Log
	w     *wal.Writer
	p     uint32
	seq   uint64
	done  chan error
	fleet *fleet
	hub   *Hub
}

func newRig(t testing.TB) *rig {
	r := &rig{t: t, done: make(chan error, 16), fleet: &fleet{rows: map[uint32]string{}, encoded: map[uint32]int{}}}
	log, err := wal.Open(wal.Options{FS: vfs.NewMem(), Dir: "log", MemtableBytes: 1 << 20, StoreCacheBytes: 1 << 20,
		DiskFree:  func(string) (uint64, error) { return 1 << 40, nil },
		Committed: func(_ any, _, _ uint64, err error) { r.done <- err }})
	if err != nil {
		t.Fatal(err)
	}
	r.log, r.w = log, log.Writer()
	if r.p, _, err = r.w.Fence(wal.ProducerKey{Space: "main", Owner: "k", ID: [16]byte{1}}, 1, 1); err != nil {
		t.Fatal(err)
	}
	r.hub = New(Options{Log: log})
	r.hub.Show(r.shown())
	t.Cleanup(func() {
		r.hub.Close()
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// shown is the fleet by hand, with figures.
func (r *rig) shown() Fleet {
	return Fleet{Agents: r.fleet, Summary: func(string) ([]byte, []byte) { return []byte(`{"agents_live":1}`), []byte(`{"items":[]}`) }}
}

// log appends one event per message and makes them durable.
func (r *rig) say(agent string, typ wire.Type, msgs ...string) {
	num := r.w.Agent([]byte("main"), []byte(agent))
	for _, m := range msgs {
		e := wire.Event{Type: typ, Msg: m}
		h := wire.Head{Severity: wire.SeverityInfo}
		r.seq++
		if v := r.w.Append(r.p, r.seq, uint8(typ), h.Flags(), num, 0, time.Now().UnixNano(), e.AppendMsgpack(nil)); v != wal.Stored {
			r.t.Fatalf("append: %v", v)
		}
	}
	for !r.w.Commit(nil) {
		time.Sleep(10 * time.Microsecond) // the committer is between two steps
	}
	if err := <-r.done; err != nil {
		r.t.Fatal(err)
	}
}

// fleet is the hub's Agents by hand.
type fleet struct {
	mu      sync.Mutex
	rows    map[uint32]string
	encoded map[uint32]int
	matched int
}

func (f *fleet) set(num uint32, row string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rows[num] = row
}

func (f *fleet) Numbers() uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := uint32(0)
	for k := range f.rows {
		n = max(n, k+1)
	}
	return n
}

func (f *fleet) Match(num uint32, _ string, q *query.Query) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.matched++
	row, ok := f.rows[num]
	return ok && q.Match(one(row))
}

func (f *fleet) Encode(dst []byte, num uint32) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.encoded[num]++
	return append(dst, fmt.Sprintf(`{"n":%d,"s":%q}`, num, f.rows[num])...)
}

func (f *fleet) Offset() (uint64, int64) { return 7, 0 }

type one string

func (o one) Field(string) query.Value          { return query.T(string(o)) }
func (o one) Texts(fn func(s string) bool) bool { return fn(string(o)) }

// screen is a viewer that collects what it gets.
type screen struct {
	*Viewer
	t     testing.TB
	mu    sync.Mutex
	busy  bool
	tries int // while it was busy
	got   chan message
}

type message struct {
	Op        string
	ID        int64
	Items     []json.RawMessage
	Gone      []struct{ Space, ID string }
	Offset    uint64
	Recovered bool
	Snapshot  bool
	End       bool
	Code      string
	Detail    string
	Fleet     json.RawMessage
	Attention json.RawMessage
	Progress  json.RawMessage
	T         float64
	Log       string
	at        time.Time
}

func (r *rig) open(space string) *screen {
	return r.openAs(Conn{Space: space})
}

// openAs opens a screen over c, whose Send becomes the screen's.
func (r *rig) openAs(c Conn) *screen {
	s := &screen{t: r.t, got: make(chan message, 4096)}
	c.Send = func(p []byte) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.busy {
			s.tries++
			return ErrBusy
		}
		m := message{at: time.Now()}
		if err := json.Unmarshal(p, &m); err != nil {
			return fmt.Errorf("%w in %s", err, p)
		}
		s.got <- m
		return nil
	}
	v, err := r.hub.Open(c)
	if err != nil {
		r.t.Fatal(err)
	}
	s.Viewer = v
	r.t.Cleanup(v.Close)
	m := s.next()
	if id, ok := wire.ParseUUID(m.Log); m.Op != "hello" || !ok || id != r.log.ID() {
		r.t.Fatalf("greeting %+v", m)
	}
	return s
}

func (s *screen) stall(on bool) {
	s.mu.Lock()
	s.busy = on
	s.mu.Unlock()
}

func (s *screen) tried() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tries
}

func (s *screen) next() message {
	s.t.Helper()
	select {
	case m := <-s.got:
		return m
	case <-time.After(10 * time.Second):
		s.t.Fatal("no message within 10 s")
	}
	panic("unreachable")
}

func (s *screen) quiet(d time.Duration) {
	s.t.Helper()
	select {
	case m := <-s.got:
		s.t.Fatalf("unexpected %+v", m)
	case <-time.After(d):
	}
}

func (s *screen) tell(format string, a ...any) {
	s.t.Helper()
	if err := s.Message(fmt.Appendf(nil, format, a...)); err != nil {
		s.t.Fatal(err)
	}
}

func texts(ms ...message) (out []string) {
	for _, m := range ms {
		for _, it := range m.Items {
			var e struct{ Msg string }
			if err := json.Unmarshal(it, &e); err != nil {
				panic(err)
			}
			out = append(out, e.Msg)
		}
	}
	return out
}

// collect reads events until n items came.
func (s *screen) collect(n int) (out []string) {
	for len(out) < n {
		out = append(out, texts(s.next())...)
	}
	return out
}

func TestEventsAllLosesNothing(t *testing.T) {
	r := newRig(t)
	r.say("a", wire.TypeLog, "0", "1", "2")
	s := r.open("")
	s.tell(`{"op":"subscribe","id":1,"what":"events","from":1,"credits":2}`)
	if m := s.next(); m.Op != "subscribed" || !m.Recovered || m.Offset != 1 {
		t.Fatalf("%+v", m)
	}
	got := s.collect(2)
	s.quiet(30 * time.Millisecond) // no credits
	r.say("a", wire.TypeLog, "3")
	s.tell(`{"op":"request","id":1,"n":1000}`)
	got = append(got, s.collect(2)...)
	s.stall(true)
	for i := 4; i < 40; i++ {
		r.say("a", wire.TypeLog, fmt.Sprint(i))
	}
	s.stall(false)
	s.Ready()
	got = append(got, s.collect(36)...)
	for i, m := range got {
		if m != fmt.Sprint(i) {
			t.Fatalf("item %d is %q: %v", i, m, got)
		}
	}
	s.tell(`{"op":"unsubscribe","id":1}`)
	r.say("a", wire.TypeLog, "more")
	s.quiet(30 * time.Millisecond)
}

func TestEventsFilters(t *testing.T) {
	r := newRig(t)
	s := r.open("main")
	s.tell(`{"op":"subscribe","id":1,"what":"events","filter":{"type":["log"],"agent":"a","q":"msg:y*"}}`)
	s.tell(`{"op":"subscribe","id":2,"what":"events","filter":{"type":"tool,system"}}`)
	s.next()
	s.next()
	r.say("b", wire.TypeLog, "yes, b")
	r.say("a", wire.TypeTool, "yes, tool")
	r.say("a", wire.TypeLog, "no", "yes, a")
	byID := map[int64][]string{}
	for len(byID[1]) < 1 || len(byID[2]) < 1 {
		m := s.next()
		byID[m.ID] = append(byID[m.ID], slices.DeleteFunc(texts(m), func(x string) bool { return x == "" })...)
	}
	if !slices.Equal(byID[1], []string{"yes, a"}) || !slices.Equal(byID[2], []string{"yes, tool"}) {
		t.Errorf("%v", byID)
	}
}

// TestAdmits: who passes a filter by space and agent is the same at the first look
// and later, whoever was looked at before.
func TestAdmits(t *testing.T) {
	r := newRig(t)
	var nums []uint32
	var names [][2]string
	for i := range 40 {
		space, id := []string{"main", "other"}[i%2], fmt.Sprint("a", i/2%10)
		nums = append(nums, r.w.Agent([]byte(space), []byte(id)))
		names = append(names, [2]string{space, id})
	}
	r.say("a1", wire.TypeMessage, "so that the names are there")
	for _, f := range []filter{{}, {space: "main"}, {agent: "a3"}, {space: "other", agent: "a3"}, {agent: "nobody"}} {
		s := &sub{h: r.hub, filter: f}
		for range 2 {
			for i, num := range nums {
				want := (f.space == "" || f.space == names[i][0]) && (f.agent == "" || f.agent == names[i][1])
				if got := s.admits(num); got != want {
					t.Errorf("%+v admits %v: %v", f, names[i], got)
				}
			}
			if got, want := s.admits(0), f.space == "" && f.agent == ""; got != want {
				t.Errorf("%+v admits what is of no agent: %v", f, got)
			}
		}
	}
}

func TestEventsLatestConflates(t *testing.T) {
	r := newRig(t)
	s := r.open("")
	s.tell(`{"op":"subscribe","id":1,"what":"events","mode":"latest","credits":1000}`)
	s.next()
	s.stall(true)
	for i := range 50 {
		r.say("a", wire.TypeLog, fmt.Sprint("a", i))
		r.say("b", wire.TypeLog, fmt.Sprint("b", i))
	}
	s.stall(false)
	last := map[byte]string{}
	n := 0
	for last['a'] != "a49" || last['b'] != "b49" {
		for _, x := range texts(s.next()) {
			last[x[0]] = x
			n++
		}
	}
	if n > 20 {
		t.Errorf("%d items for 100 events: not conflated", n)
	}
}

func TestAgents(t *testing.T) {
	r := newRig(t)
	for i := range uint32(1200) {
		r.fleet.set(i+1, "idle")
	}
	a, b := r.open(""), r.open("")
	for _, s := range []*screen{a, b} {
		s.tell(`{"op":"subscribe","id":3,"what":"agents","mode":"latest","filter":{"q":"idle OR stuck"},"credits":2000}`)
		s.next()
		rows, pages := 0, 0
		for {
			m := s.next()
			rows, pages = rows+len(m.Items), pages+1
			if !m.Snapshot || m.Offset != 7 {
				t.Fatalf("%+v", m)
			}
			if m.End {
				break
			}
		}
		if rows != 1200 || pages < 3 {
			t.Fatalf("%d rows in %d pages", rows, pages)
		}
	}
	r.fleet.mu.Lock()
	before := r.fleet.encoded[5]
	r.fleet.mu.Unlock()
	r.fleet.set(5, "stuck")
	from := time.Now()
	r.hub.Changed([]uint32{5}, 8)
	for _, s := range []*screen{a, b} {
		m := s.next()
		if len(m.Items) != 1 || string(m.Items[0]) != `{"n":5,"s":"stuck"}` || m.Snapshot {
			t.Fatalf("%+v", m)
		}
		if d := m.at.Sub(from); d > time.Second {
			t.Errorf("the first change took %v", d)
		}
	}
	r.fleet.mu.Lock()
	if n := r.fleet.encoded[5] - before; n > 2 {
		t.Errorf("encoded %d times for two viewers", n)
	}
	r.fleet.mu.Unlock()
	r.fleet.set(5, "other") // no longer matches
	r.hub.Changed([]uint32{5}, 9)
	for _, s := range []*screen{a, b} {
		m := s.next()
		if len(m.Items) != 0 || len(m.Gone) != 1 || m.at.Sub(from) < gapMin {
			t.Fatalf("%+v after %v", m, m.at.Sub(from))
		}
	}
	b.Close()
	began := time.Now()
	for i := range 100 { // many changes, few messages, the last one wins
		r.fleet.set(6, fmt.Sprint("idle ", i))
		r.hub.Changed([]uint32{6}, 10)
		time.Sleep(time.Millisecond)
	}
	n, last := 0, ""
	for last != `{"n":6,"s":"idle 99"}` {
		m := a.next()
		n++
		last = string(m.Items[0])
	}
	if took := time.Since(began); n > int(took/gapMin)+3 || n > 90 {
		t.Errorf("%d messages for 100 changes in %v", n, took)
	}
	if v, subs := r.hub.Viewers(); v != 1 || subs != 1 {
		t.Errorf("%d viewers, %d subscriptions", v, subs)
	}
}

func TestFleetAndErrors(t *testing.T) {
	r := newRig(t)
	s := r.open("main")
	s.tell(`{"op":"ping","t":12}`)
	if m := s.next(); m.Op != "pong" || m.T != 12 {
		t.Fatalf("%+v", m)
	}
	s.tell(`{"op":"subscribe","id":1,"what":"fleet"}`)
	s.next()
	if m := s.next(); string(m.Fleet) != `{"agents_live":1}` || m.Attention == nil {
		t.Fatalf("%+v", m)
	}
	for msg, code := range map[string]string{
		`{`:                             "syntax",
		`{"op":"dance"}`:                "unknown_op",
		`{"op":"request","id":9,"n":1}`: "unknown_id",
		`{"op":"unsubscribe","id":9}`:   "unknown_id",
		`{"op":"subscribe","id":2,"what":"nothing"}`:                           "what",
		`{"op":"subscribe","id":2,"what":"events","mode":"some"}`:              "mode",
		`{"op":"subscribe","id":2,"what":"events","filter":{"q":"a:("}}`:       "filter",
		`{"op":"subscribe","id":2,"what":"events","filter":{"type":["x"]}}`:    "filter",
		`{"op":"subscribe","id":2,"what":"events","filter":{"severity":"x"}}`:  "filter",
		`{"op":"subscribe","id":2,"what":"events","from":"yesterday"}`:         "from",
		`{"op":"subscribe","id":2,"what":"events","filter":{"space":"other"}}`: "forbidden",
		`{"op":"subscribe","id":1,"what":"events"}`:                            "duplicate_id",
	} {
		s.tell("%s", msg)
		for {
			m := s.next()
			if m.Op == "fleet" {
				continue
			}
			if m.Op != "error" || m.Code != code || m.Detail == "" {
				t.Errorf("%s: %+v, want %s", msg, m, code)
			}
			break
		}
	}
	if err := s.Message([]byte(`{"op":"ping"}`)); err != nil {
		t.Error(err)
	}
	s.Close()
	if err := s.Message([]byte(`{"op":"ping"}`)); !errors.Is(err, errClosed) {
		t.Errorf("a closed viewer answers: %v", err)
	}
}

// TestUnreadable: a row of messages that are no request ends, each before the
// last is answered, and one that is a request begins anew.
func TestUnreadable(t *testing.T) {
	r := newRig(t)
	s := r.open("main")
	bad := []string{``, `{`, `{}`, `[]`, `{"op":1}`, `null`}
	for round := range 3 {
		for i := range unreadableMax - 1 {
			s.tell("%s", bad[i%len(bad)])
			if m := s.next(); m.Op != "error" {
				t.Fatalf("round %d, message %d: %+v", round, i, m)
			}
		}
		s.tell(`{"op":"dance"}`) // understood, and refused
		s.next()
	}
	for range unreadableMax - 1 {
		s.tell(`{}`)
		s.next()
	}
	if err := s.Message(nil); err != ErrUnreadable {
		t.Fatalf("number %d in a row: %v", unreadableMax, err)
	}
}

func TestResume(t *testing.T) {
	r := newRig(t)
	r.say("a", wire.TypeLog, "0", "1")
	head := r.log.Next()
	s := r.open("")
	for i, c := range []struct {
		from      string
		off       uint64
		recovered bool
	}{
		{`"now"`, head, false}, {`2`, 2, true}, {fmt.Sprintf(`"%d:3"`, r.log.Epoch()), 3, true},
		{fmt.Sprintf(`"%d:3"`, r.log.Epoch()+9), head, false}, {`99999`, head, false}, {`"-5m"`, 1, true},
	} {
		s.tell(`{"op":"subscribe","id":%d,"what":"events","from":%s,"credits":0}`, i, c.from)
		if m := s.next(); m.Op != "subscribed" || m.Offset != c.off || m.Recovered != c.recovered {
			t.Errorf("from %s: %+v", c.from, m)
		}
	}
}

// TestReached: who waits for what does not come knows how far it was looked for.
func TestReached(t *testing.T) {
	r := newRig(t)
	s := r.open("")
	s.tell(`{"op":"subscribe","id":7,"what":"events","from":1,"filter":{"agent":"nobody"}}`)
	if m := s.next(); m.Op != "subscribed" {
		t.Fatalf("%+v", m)
	}
	for i := range 5 {
		r.say("a", wire.TypeLog, fmt.Sprint(i))
	}
	for end := time.Now().Add(20 * time.Second); s.Reached(7) != r.log.Next(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("reached %d of %d", s.Reached(7), r.log.Next())
		}
	}
	if n := s.Reached(8); n != 0 {
		t.Errorf("another subscription has reached %d", n)
	}
}

func TestManyViewers(t *testing.T) {
	r := newRig(t)
	const n = 200
	var all []*screen
	for range n {
		s := r.open("")
		s.tell(`{"op":"subscribe","id":1,"what":"events","credits":1000}`)
		s.next()
		all = append(all, s)
	}
	for i := range 20 {
		r.say("a", wire.TypeLog, fmt.Sprint(i))
	}
	for _, s := range all {
		for i, m := range s.collect(20) {
			if m != fmt.Sprint(i) {
				t.Fatalf("item %d is %q", i, m)
			}
		}
	}
}

func TestAppendEventJSON(t *testing.T) {
	e := wire.Event{Type: wire.TypeTool, Name: "<b>", Msg: "x\u2028", TS: 1_700_000_000_123_456_789, Labels: map[string]string{"__proto__": "p"}}
	rec := wal.Record{Offset: 9, Recv: 1_700_000_000_500e6, Kind: wal.KindEvent, Class: uint8(wire.TypeTool), Agent: 1, Producer: 2, Seq: 3, Payload: e.AppendMsgpack(nil)}
	name := func(uint32) (string, string, bool) { return "main", "a", true }
	var m map[string]any
	if err := json.Unmarshal(AppendEventJSON(nil, &rec, name), &m); err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]any{"offset": 9.0, "recv_ms": 1_700_000_000_500.0, "space": "main", "agent": "a", "type": "tool", "phase": "whole", "severity": "info", "name": "<b>", "ts_ns": "1700000000123456789"} {
		if m[k] != want {
			t.Errorf("%s is %v, want %v", k, m[k], want)
		}
	}
	for i := range rec.Payload { // whatever a damaged payload holds, the event stays JSON
		cut := rec
		cut.Payload = rec.Payload[:i]
		if b := AppendEventJSON(nil, &cut, name); !json.Valid(b) {
			t.Fatalf("cut at %d: %s", i, b)
		}
	}
	tick := wal.Record{Offset: 1, Kind: wal.KindTick}
	if b := AppendEventJSON(nil, &tick, name); string(b) != `{"offset":1,"recv_ms":0,"type":"system","kind":"tick"}` {
		t.Errorf("%s", b)
	}
}

// TestNotTriedWhileFull: for a viewer who does not read, no message is made until there is room for it.
func TestNotTriedWhileFull(t *testing.T) {
	for _, subscribe := range []string{
		`{"op":"subscribe","id":1,"what":"events","from":"now"}`,
		`{"op":"subscribe","id":1,"what":"events","from":"now","mode":"latest"}`,
		`{"op":"subscribe","id":1,"what":"agents"}`,
		`{"op":"subscribe","id":1,"what":"fleet"}`,
	} {
		r := newRig(t)
		var full atomic.Bool
		s := r.openAs(Conn{Full: func(int) bool { return full.Load() }})
		if err := s.Message([]byte(subscribe)); err != nil {
			t.Fatal(err)
		}
		for s.next().Op != "subscribed" {
		}
		for len(s.got) > 0 {
			s.next()
		}
		s.stall(true)
		full.Store(true)
		more := func() {
			r.say("a", wire.TypeLog, "x")
			r.fleet.set(1, fmt.Sprint(r.seq))
			r.hub.Changed([]uint32{1}, r.seq)
		}
		for end := time.Now().Add(10 * time.Second); s.tried() == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: nothing was sent", subscribe)
			}
			more()
		}
		tried := s.tried()
		for range 30 {
			more()
			time.Sleep(10 * time.Millisecond)
		}
		if n := s.tried(); n > tried+1 { // one may have been under way
			t.Errorf("%s: sent to %d times more", subscribe, n-tried)
		}
		full.Store(false)
		s.stall(false)
		if m := s.next(); m.Op == "error" {
			t.Errorf("%s: %+v", subscribe, m)
		}
	}
}

// TestNewestComeInPages: the newest events of many agents, however large they are, come in messages that are bounded.
func TestNewestComeInPages(t *testing.T) {
	const agents, size = 200, 4 << 10
	r := newRig(t)
	s := r.open("")
	if err := s.Message([]byte(`{"op":"subscribe","id":1,"what":"events","from":"now","mode":"latest"}`)); err != nil {
		t.Fatal(err)
	}
	for s.next().Op != "subscribed" {
	}
	s.stall(true)
	for i := range agents {
		r.say(fmt.Sprint("a", i), wire.TypeLog, strings.Repeat("x", size))
	}
	s.stall(false)
	for seen := 0; seen < agents; {
		m, bytes := s.next(), 0
		for _, item := range m.Items {
			bytes += len(item)
		}
		if seen += len(m.Items); bytes > pageBytes+2*size {
			t.Fatalf("%d events of %d bytes in a message", len(m.Items), bytes)
		}
	}
}
