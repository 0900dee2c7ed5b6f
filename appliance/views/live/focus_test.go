package live

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// names is a Log that knows agents by name alone: a9 is number 9, and twins are
// called a7 in other spaces.
type names struct {
	Log
	twins []uint32
}

func (*names) ID() [16]byte                         { return [16]byte{1} }
func (*names) Epoch() uint32                        { return 1 }
func (*names) Next() uint64                         { return 1 }
func (*names) Agent(n uint32) (_, _ string, _ bool) { return "main", fmt.Sprintf("a%d", n), true }

func (*names) AgentNum(space, id string) (num uint32, ok bool) {
	_, err := fmt.Sscanf(id, "a%d", &num)
	return num, err == nil && space == "main" && num < 2000
}

func (n *names) AgentNums(id string) []uint32 {
	num, ok := n.AgentNum("main", id)
	switch {
	case !ok:
		return nil
	case id == "a7":
		return append([]uint32{num}, n.twins...)
	}
	return []uint32{num}
}

// stage is a hub with one reader before a viewer, all on a synctest's clock; what
// changes is handed to it by hand.
type stage struct {
	t    *testing.T
	log  *names
	rows *fleet
	all  []uint32
	hub  *Hub
	v    *Viewer
	got  []message
}

func newStage(t *testing.T, agents int) *stage {
	s := &stage{t: t, log: &names{}, rows: &fleet{rows: map[uint32]string{}, encoded: map[uint32]int{}}}
	for i := range uint32(agents) {
		s.all = append(s.all, i)
		s.rows.set(i, "first")
	}
	h := &Hub{o: Options{Log: s.log, Now: time.Now}, ctx: t.Context(), cancel: func() {}, subs: map[*sub]struct{}{}, viewers: map[*Viewer]struct{}{}, kick: make(chan struct{}, 1)}
	h.shown.Store(&Fleet{Agents: s.rows})
	h.run.init()
	h.done.Add(1)
	go h.read()
	var err error
	s.hub = h
	s.v, err = h.Open(Conn{Send: func(p []byte) error {
		m := message{at: time.Now()}
		if err := json.Unmarshal(p, &m); err != nil {
			return err
		}
		s.got = append(s.got, m)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *stage) close() {
	s.v.Close()
	s.hub.run.close()
	s.hub.done.Wait()
}

// change does with a change what the goroutine of pulse does.
func (s *stage) change(row string, nums ...uint32) {
	var batch bits
	for _, n := range nums {
		s.rows.set(n, row)
		batch.set(n)
	}
	h := s.hub
	h.rows.forget()
	for sub := range h.subs {
		if sub.take(batch, s.rows.Numbers()) {
			h.run.push(sub)
		}
	}
	synctest.Wait()
}

func (s *stage) tell(format string, a ...any) {
	s.t.Helper()
	if err := s.v.Message(fmt.Appendf(nil, format, a...)); err != nil {
		s.t.Fatal(err)
	}
	synctest.Wait()
}

// items returns the rows of all that was got.
func (s *stage) items() (rows []string) {
	for _, m := range s.got {
		for _, b := range m.Items {
			rows = append(rows, string(b))
		}
	}
	return rows
}

// Rows in focus come first in a message, and within the least gap however many
// others wait; of these every one comes in the end, and in its newest form.
func TestFocus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const agents = 2000
		st := newStage(t, agents)
		defer st.close()
		st.tell(`{"op":"subscribe","id":1,"what":"agents","credits":1000000}`)
		if n := len(st.got); n != 2+agents/pageItems || !st.got[n-1].End {
			t.Fatalf("%d messages, the last is %+v", n, st.got[n-1])
		}
		st.tell(`{"op":"focus","id":1,"agents":[{"space":"main","id":"a1995"},{"space":"main","id":"nobody"},{"space":"main","id":"a1990"}]}`)
		time.Sleep(time.Second)

		st.got = nil
		st.change("second", st.all...)
		if len(st.got) != 1 || len(st.got[0].Items) != pageItems || !strings.Contains(string(st.got[0].Items[0]), `"n":1995,`) || !strings.Contains(string(st.got[0].Items[1]), `"n":1990,`) {
			t.Fatalf("%d messages at once, with %d rows", len(st.got), len(st.got[0].Items))
		}
		newest := map[uint32]string{}
		last := map[uint32]time.Time{}
		for i := range 20 { // a row in focus changes ten times as often as the rest may be sent
			time.Sleep(10 * time.Millisecond)
			st.change(fmt.Sprint("at ", i), 1995)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		full := 0
		for _, m := range st.got {
			if len(m.Items) == pageItems {
				full++
			}
			for _, b := range m.Items {
				var row struct {
					N uint32
					S string
				}
				if err := json.Unmarshal(b, &row); err != nil {
					t.Fatal(err)
				}
				if row.N == 1995 && m.at.Sub(last[1995]) > gapMin && !last[1995].IsZero() {
					t.Errorf("a row in focus waited for %v", m.at.Sub(last[1995]))
				}
				newest[row.N], last[row.N] = row.S, m.at
			}
		}
		if full != agents/pageItems { // what goes out between them is in focus
			t.Errorf("%d full messages", full)
		}
		if gap := st.got[len(st.got)-1].at.Sub(st.got[0].at); gap < 3*2*gapMin || gap > 5*2*gapMin {
			t.Errorf("the rest took %v", gap)
		}
		if len(newest) != agents || newest[1995] != "at 19" || newest[1990] != "second" || newest[7] != "second" {
			t.Errorf("%d rows came; a1995 is %q, a1990 %q, a7 %q", len(newest), newest[1995], newest[1990], newest[7])
		}

		// Nothing of the rest is due: a change in focus goes out at once, and without it nothing.
		time.Sleep(time.Second)
		st.change("third", st.all...)
		st.got = nil
		time.Sleep(60 * time.Millisecond) // the least gap is over, the rest still waits
		synctest.Wait()
		if len(st.got) != 0 {
			t.Errorf("%d messages while the rest waits", len(st.got))
		}
		st.change("fourth", 1990)
		if len(st.got) != 1 || len(st.got[0].Items) != 1 {
			t.Errorf("a change in focus: %+v", st.got)
		}
		st.tell(`{"op":"focus","id":1,"agents":[{"space":"main","id":"a1999"}]}`)
		time.Sleep(gapMin)
		synctest.Wait()
		if len(st.got) < 2 || !strings.Contains(string(st.got[1].Items[0]), `"n":1999,"s":"third"`) {
			t.Errorf("what comes in focus is sent: %+v", st.got)
		}

		st.tell(`{"op":"focus","id":2,"agents":[]}`)
		if m := st.got[len(st.got)-1]; m.Code != "unknown_id" {
			t.Errorf("%+v", m)
		}
		st.tell(`{"op":"focus","id":1,"agents":[%s{}]}`, strings.Repeat("{},", focusMax))
		if m := st.got[len(st.got)-1]; m.Code != "limit" {
			t.Errorf("%+v", m)
		}
	})
}

// The page of one agent costs nothing while others change, and shows whoever has
// its id, in whatever space and whenever they come.
func TestOneAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, 2000)
		defer st.close()
		st.tell(`{"op":"subscribe","id":1,"what":"agents","filter":{"agent":"a7"},"credits":1000000}`)
		if rows := st.items(); !slices.Equal(rows, []string{`{"n":7,"s":"first"}`}) || !st.got[len(st.got)-1].End {
			t.Fatalf("%q", rows)
		}
		asked := st.rows.matched
		if asked > 1 {
			t.Errorf("%d agents were looked at for the first page", asked)
		}
		for i := range 50 {
			time.Sleep(gapMin)
			st.got = nil
			st.change(fmt.Sprint("at ", i), st.all...)
			if rows := st.items(); !slices.Equal(rows, []string{fmt.Sprintf(`{"n":7,"s":"at %d"}`, i)}) {
				t.Fatalf("change %d: %q", i, rows)
			}
		}
		if n := st.rows.matched - asked; n != 50 {
			t.Errorf("%d agents were looked at in 50 changes of one", n)
		}

		st.log.twins = []uint32{2500}
		time.Sleep(gapMin)
		st.got = nil
		st.change("twin", 2499, 2500, 2501)
		if rows := st.items(); !slices.Equal(rows, []string{`{"n":2500,"s":"twin"}`}) {
			t.Errorf("another of that id: %q", rows)
		}
		time.Sleep(gapMin)
		st.got = nil
		st.change("both", 7, 2500)
		if rows := st.items(); len(rows) != 2 {
			t.Errorf("both of that id: %q", rows)
		}
	})
}

// Rows that a query does not select are looked at no more often than others are
// sent: however many change, readers have time left.
func TestSelective(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, 2000)
		defer st.close()
		st.tell(`{"op":"subscribe","id":1,"what":"agents","filter":{"q":"needle"},"credits":1000000}`)
		asked := st.rows.matched
		for i := range 100 { // a second of changes
			time.Sleep(10 * time.Millisecond)
			st.change(fmt.Sprint("at ", i), st.all...)
		}
		if n := (st.rows.matched - asked) / len(st.all); n < 5 || n > 11 {
			t.Errorf("all were looked at %d times in a second, want one in %v", n, 2*gapMin)
		}
		st.change("the needle", 3)
		time.Sleep(2 * gapMin)
		synctest.Wait()
		if rows := st.items(); !slices.Equal(rows, []string{`{"n":3,"s":"the needle"}`}) {
			t.Errorf("%q", rows)
		}
	})
}
