package live

import (
	"testing"

	"eyrie/engine/wire"
)

// TestLoading: until the fleet is there, events are served, and who asks for the
// rest is told how far that is and gets it on the same connection.
func TestLoading(t *testing.T) {
	r := newRig(t)
	r.hub.Close()
	r.hub = New(Options{Log: r.log})
	early := r.open("")
	r.hub.Loading([]byte(`{"done":0.25}`))
	if m := early.next(); m.Op != "loading" || string(m.Progress) != `{"done":0.25}` {
		t.Fatalf("%+v", m)
	}
	s := r.open("") // its greeting has the log's end
	if m := s.next(); m.Op != "loading" || string(m.Progress) != `{"done":0.25}` {
		t.Fatalf("who comes later is told %+v", m)
	}
	s.tell(`{"op":"subscribe","id":1,"what":"agents","mode":"latest"}`)
	s.tell(`{"op":"subscribe","id":2,"what":"fleet"}`)
	s.tell(`{"op":"subscribe","id":3,"what":"events","from":1}`)
	if m := s.next(); m.Op != "subscribed" || m.ID != 3 {
		t.Fatalf("%+v", m)
	}
	r.say("a", wire.TypeLog, "while loading")
	if got := s.collect(1); got[0] != "while loading" {
		t.Fatalf("%q", got)
	}
	s.tell(`{"op":"ping","t":1}`)
	if m := s.next(); m.Op != "pong" || m.Offset != r.log.Next()-1 {
		t.Fatalf("%+v of the log's %d", m, r.log.Next()-1)
	}
	r.hub.Loading([]byte(`{"done":1}`))
	if m := s.next(); m.Op != "loading" {
		t.Fatalf("%+v", m)
	}

	r.fleet.set(1, "idle")
	r.hub.Show(r.shown())
	seen := map[string]int{}
	for seen["agents"] == 0 || seen["fleet"] == 0 {
		m := s.next()
		seen[m.Op]++
		if m.Op == "agents" && (len(m.Items) != 1 || !m.End) {
			t.Errorf("%+v", m)
		}
	}
	if seen["loaded"] != 1 || seen["subscribed"] != 2 {
		t.Errorf("%v", seen)
	}
	early.next() // how far it was
	if m := early.next(); m.Op != "loaded" {
		t.Errorf("who waits for nothing is told %+v", m)
	}
	r.hub.Loading([]byte(`{}`)) // too late to be said
	later := r.open("")
	later.tell(`{"op":"ping","t":2}`)
	if m := later.next(); m.Op != "pong" || m.Offset != 7 {
		t.Errorf("%+v", m)
	}
}
