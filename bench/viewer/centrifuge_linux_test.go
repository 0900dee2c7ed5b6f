package viewer

import (
	"strings"
	"testing"

	"eyrie/bench/links"
	"eyrie/bench/workload"
	"eyrie/engine/wire"
)

// Frames of Centrifuge's are taken line by line: replies lead to a viewer that is
// up, pushes are counted, and what is no reply is a fault.
func TestCentrifugeFrame(t *testing.T) {
	l := &loop{Loop: &links.Loop{Framer: workload.NewFramer(wire.JSON, 1)}, from: 1, counting: true}
	c := &conn{subs: []sub{{watch: &Watch{What: "events", Mode: "all", Marks: true, Filter: Filter{Agent: "events"}}}}}
	l.frame(c, []byte(`{"id":1,"connect":{"client":"x","version":"0"}}`+"\n"), 5)
	if c.up {
		t.Error("it is up before it is subscribed")
	}
	l.frame(c, []byte(`{"id":2,"subscribe":{}}`+"\n"+`{"push":{"channel":"events","pub":{"data":{"x_us":100,"x_n":7}}}}`+"\n"+`{}`), 400)
	l.frame(c, []byte(`{"push":{"channel":"events","pub":{"data":{"x_us":300,"x_n":8}}}}`), 400)
	if !c.up || l.ready != 1 {
		t.Errorf("up: %v, %d ready", c.up, l.ready)
	}
	if l.res.Items != 2 || l.res.Messages != 2 || l.res.Latency.Count() != 2 || c.subs[0].mark != 8 || len(l.res.Errors) != 0 {
		t.Errorf("%d items in %d messages, %d measured, the last %d: %v", l.res.Items, l.res.Messages, l.res.Latency.Count(), c.subs[0].mark, l.res.Errors)
	}
	for _, c := range []struct{ in, fault string }{
		{`{"push":{"channel":"events","pub":{"data":{"x_us":500,"x_n":10}}}}`, "LOST"},
		{`{"id":9}`, "a reply to 9"},
		{`nonsense`, "what cannot be read"},
	} {
		l.res.Errors = nil
		l.frame(&conn{up: true, subs: []sub{{watch: &Watch{What: "events", Marks: true}, mark: 8}}}, []byte(c.in), 600)
		if got := strings.Join(l.res.Errors, "; "); !strings.Contains(got, c.fault) {
			t.Errorf("%s: %q", c.in, got)
		}
	}
}
