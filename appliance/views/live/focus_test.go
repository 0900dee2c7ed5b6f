package live

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// names is a Log that knows agents by name alone: a9 is number 9.
type names struct{ Log }

func (names) ID() [16]byte                         { return [16]byte{1} }
func (names) Epoch() uint32                        { return 1 }
func (names) Next() uint64                         { return 1 }
func (names) Agent(n uint32) (_, _ string, _ bool) { return "main", fmt.Sprintf("a%d", n), true }

func (names) AgentNum(space, id string) (num uint32, ok bool) {
	_, err := fmt.Sscanf(id, "a%d", &num)
	return num, err == nil && space == "main" && num < 2000
}

// Rows in focus come first in a message, and within the least gap however many
// others wait; of these every one comes in the end, and in its newest form.
func TestFocus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const agents = 2000
		rows := &fleet{rows: map[uint32]string{}, encoded: map[uint32]int{}}
		all := make([]uint32, agents)
		for i := range all {
			all[i] = uint32(i)
			rows.set(uint32(i), "first")
		}
		h := &Hub{o: Options{Log: names{}, Now: time.Now}, ctx: t.Context(), cancel: func() {}, subs: map[*sub]struct{}{}, viewers: map[*Viewer]struct{}{}, kick: make(chan struct{}, 1)}
		h.shown.Store(&Fleet{Agents: rows})
		h.run.init()
		h.done.Add(1)
		go h.read()
		defer h.done.Wait()
		defer h.run.close()
		// pulse is what the goroutine of that name does with a change.
		change := func(row string, nums ...uint32) {
			var batch bits
			for _, n := range nums {
				rows.set(n, row)
				batch.set(n)
			}
			h.rows.forget()
			for s := range h.subs {
				if s.take(batch) {
					h.run.push(s)
				}
			}
			synctest.Wait()
		}
		var got []message
		v, err := h.Open(Conn{Send: func(p []byte) error {
			m := message{at: time.Now()}
			if err := json.Unmarshal(p, &m); err != nil {
				return err
			}
			got = append(got, m)
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		tell := func(format string, a ...any) {
			t.Helper()
			if err := v.Message(fmt.Appendf(nil, format, a...)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		tell(`{"op":"subscribe","id":1,"what":"agents","credits":1000000}`)
		if n := len(got); n != 2+agents/pageItems || !got[n-1].End {
			t.Fatalf("%d messages, the last is %+v", n, got[n-1])
		}
		tell(`{"op":"focus","id":1,"agents":[{"space":"main","id":"a1995"},{"space":"main","id":"nobody"},{"space":"main","id":"a1990"}]}`)
		time.Sleep(time.Second)

		got = nil
		change("second", all...)
		if len(got) != 1 || len(got[0].Items) != pageItems || !strings.Contains(string(got[0].Items[0]), `"n":1995,`) || !strings.Contains(string(got[0].Items[1]), `"n":1990,`) {
			t.Fatalf("%d messages at once, with %d rows", len(got), len(got[0].Items))
		}
		newest := map[uint32]string{}
		last := map[uint32]time.Time{}
		for i := range 20 { // a row in focus changes ten times as often as the rest may be sent
			time.Sleep(10 * time.Millisecond)
			change(fmt.Sprint("at ", i), 1995)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		full := 0
		for _, m := range got {
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
		if gap := got[len(got)-1].at.Sub(got[0].at); gap < 3*2*gapMin || gap > 5*2*gapMin {
			t.Errorf("the rest took %v", gap)
		}
		if len(newest) != agents || newest[1995] != "at 19" || newest[1990] != "second" || newest[7] != "second" {
			t.Errorf("%d rows came; a1995 is %q, a1990 %q, a7 %q", len(newest), newest[1995], newest[1990], newest[7])
		}

		// Nothing of the rest is due: a change in focus goes out at once, and without it nothing.
		time.Sleep(time.Second)
		change("third", all...)
		got = nil
		time.Sleep(60 * time.Millisecond) // the least gap is over, the rest still waits
		synctest.Wait()
		if len(got) != 0 {
			t.Errorf("%d messages while the rest waits", len(got))
		}
		change("fourth", 1990)
		if len(got) != 1 || len(got[0].Items) != 1 {
			t.Errorf("a change in focus: %+v", got)
		}
		tell(`{"op":"focus","id":1,"agents":[{"space":"main","id":"a1999"}]}`)
		time.Sleep(gapMin)
		synctest.Wait()
		if len(got) < 2 || !strings.Contains(string(got[1].Items[0]), `"n":1999,"s":"third"`) {
			t.Errorf("what comes in focus is sent: %+v", got)
		}

		tell(`{"op":"focus","id":2,"agents":[]}`)
		if m := got[len(got)-1]; m.Code != "unknown_id" {
			t.Errorf("%+v", m)
		}
		tell(`{"op":"focus","id":1,"agents":[%s{}]}`, strings.Repeat("{},", focusMax))
		if m := got[len(got)-1]; m.Code != "limit" {
			t.Errorf("%+v", m)
		}
	})
}
