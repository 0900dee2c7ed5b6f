package vault

import (
	"context"
	"strings"
	"testing"

	"eyrie/appliance/forget"
	"eyrie/engine/wire"
	"eyrie/wal"
)

// A payload that is gone has a record that says so, or somebody else took it.
func TestForgottenNeedsARecord(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		entry  func(agent uint32) *forget.Entry
		intact bool
	}{
		"said":        {func(a uint32) *forget.Entry { return &forget.Entry{What: forget.Agent, Agents: []uint32{a}} }, true},
		"said of run": {func(a uint32) *forget.Entry { return &forget.Entry{What: forget.Run, ID: "r", Agents: []uint32{a}} }, true},
		"another run": {func(a uint32) *forget.Entry { return &forget.Entry{What: forget.Run, ID: "s", Agents: []uint32{a}} }, false},
		"another":     {func(a uint32) *forget.Entry { return &forget.Entry{What: forget.Agent, Agents: []uint32{a + 1}} }, false},
		"only done":   {func(a uint32) *forget.Entry { return &forget.Entry{What: forget.Agent, Agents: []uint32{a}, Of: 3} }, false},
	} {
		agent, end := uint32(0), uint64(0)
		data := folder(t, func(l *wal.Log) {
			w := l.Writer()
			p, wel, err := w.Fence(wal.ProducerKey{Space: "main"}, 1, 1)
			if err != nil {
				t.Fatal(err)
			}
			agent = w.Agent([]byte("main"), []byte("ada"))
			for i := range uint64(3) {
				if v := w.Append(p, wel.Next+i, uint8(wire.TypeLog), 0, agent, wire.RunKey([]byte("r")), 1, []byte{0x81, 0xa1, 'a', byte(i)}); v != wal.Stored {
					t.Fatal(v)
				}
			}
			end = w.System(wal.KindSystem, forget.Class, 0, c.entry(agent).Append(nil))
		})
		if r, all := verify(t, Subject{Data: data}); !r.Intact {
			t.Fatalf("%s: before: %s", name, all)
		}
		at(t, data, func(l *wal.Log) {
			if f, err := l.Forget(ctx, wal.Forgetting{Agents: []uint32{agent}, Below: end}); err != nil || f.Records != 3 {
				t.Fatalf("%+v, %v", f, err)
			}
		})
		if r, all := verify(t, Subject{Data: data}); r.Intact != c.intact || !c.intact && !strings.Contains(all, "forgotten, offset") {
			t.Errorf("%s: %v, %s", name, r.Intact, all)
		}
	}
}
