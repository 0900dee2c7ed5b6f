package live

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"eyrie/engine/wire"
)

// Who wants one agent's or one run's events gets them all, and has no block read for
// it that another subscription has read and that holds none of them.
func TestPassOver(t *testing.T) {
	r := newRig(t)
	rng := rand.New(rand.NewPCG(1, 2))
	const blocks, agents = 200, 60
	by := map[string][]string{}
	for i := range blocks {
		agent := fmt.Sprint("a", rng.IntN(agents))
		for k := range 1 + rng.IntN(3) {
			m := fmt.Sprint(i, ".", k)
			r.say(agent, wire.TypeLog, m)
			by[agent] = append(by[agent], m)
		}
	}
	all := r.open("")
	all.tell(`{"op":"subscribe","id":1,"what":"events","from":1,"credits":100000}`)
	all.next()
	n := 0
	for _, ms := range by {
		n += len(ms)
	}
	all.collect(n)
	for i := range agents {
		agent := fmt.Sprint("a", i)
		s := r.open("")
		s.tell(`{"op":"subscribe","id":1,"what":"events","from":1,"credits":100000,"filter":{"agent":%q}}`, agent)
		s.next()
		if got := s.collect(len(by[agent])); !slices.Equal(got, by[agent]) {
			t.Fatalf("%s: %q, want %q", agent, got, by[agent])
		}
	}

	// The subscription by hand, so that what it reads can be seen.
	nobody := &sub{h: r.hub, filter: filter{agent: "nobody", classes: ^uint64(0)}, next: 1}
	nobody.passOver()
	if nobody.next != r.log.Next() {
		t.Errorf("one of whom there is nothing is at %d of %d", nobody.next, r.log.Next())
	}
	passed := 0
	for i := range agents {
		one := &sub{h: r.hub, filter: filter{agent: fmt.Sprint("a", i), classes: ^uint64(0)}, next: 1}
		for one.next < r.log.Next() {
			before := one.next
			if one.passOver(); one.next > before {
				passed += int(one.next - before)
				continue
			}
			one.next = r.hub.gists.at(one.next).next // its own, or taken for that
		}
	}
	if want := (agents - 1) * n * 3 / 4; passed < want {
		t.Errorf("%d records were passed over by %d subscriptions, want %d of %d", passed, agents, want, (agents-1)*n)
	}
	other := &sub{h: r.hub, filter: filter{run: "r", runKey: wire.RunKey([]byte("r")), classes: ^uint64(0)}, next: 1}
	if other.passOver(); other.next != r.log.Next() {
		t.Errorf("one of a run that nobody names is at %d of %d", other.next, r.log.Next())
	}

	// Only so many blocks are remembered.
	for range gistsKept {
		r.say("a1", wire.TypeLog, "more")
	}
	all.collect(gistsKept)
	if len(r.hub.gists.of) > gistsKept || r.hub.gists.at(1) != nil {
		t.Errorf("%d blocks are remembered, the first one: %v", len(r.hub.gists.of), r.hub.gists.at(1) != nil)
	}
	late := r.open("")
	late.tell(`{"op":"subscribe","id":1,"what":"events","from":1,"credits":100000,"filter":{"agent":"a1"}}`)
	late.next()
	want := slices.Concat(by["a1"], slices.Repeat([]string{"more"}, gistsKept))
	if got := late.collect(len(want)); !slices.Equal(got, want) {
		t.Errorf("%d events of what is not remembered, want %d", len(got), len(want))
	}
}
