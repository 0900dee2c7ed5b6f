package vault

import (
	"fmt"
	"math"

	"eyrie/appliance/forget"
	"eyrie/engine/wire"
	"eyrie/wal"
)

// forgotten holds records without their payloads to the records that say why:
// where none does, somebody else has taken them.
type forgotten struct {
	open map[tombs]*wal.Damage // for which no entry was seen yet
}

// tombs are records of one agent and run.
type tombs struct{ agent, key uint32 }

// tombsMax bounds the memory; what is beyond is not held to anything.
const tombsMax = 1 << 20

// follow takes the next block; gap tells that records may be missing before it.
func (f *forgotten) follow(b *wal.Block, gap bool) {
	if f.open == nil || gap {
		f.open = map[tombs]*wal.Damage{} // the entries may be among what is missing
	}
	if b.Kinds()&(wal.KindForgotten.Mask()|wal.KindSystem.Mask()) == 0 {
		return
	}
	for i := range b.Len() {
		switch k := b.Kind(i); {
		case k == wal.KindForgotten:
			r := b.Record(i)
			at := tombs{r.Agent, r.Key}
			if d := f.open[at]; d != nil {
				d.To = r.Offset
			} else if len(f.open) < tombsMax {
				f.open[at] = &wal.Damage{Part: "forgotten", From: r.Offset, To: r.Offset}
			}
		case k == wal.KindSystem && b.Class(i) == forget.Class:
			r := b.Record(i)
			if e, err := forget.Decode(r.Payload); err == nil && e.Of == 0 {
				f.explained(&e)
			}
		}
	}
}

// explained takes off what an entry explains: all of it lies before.
func (f *forgotten) explained(e *forget.Entry) {
	agents := map[uint32]bool{}
	for _, a := range e.Agents {
		agents[a] = true
	}
	key := wire.RunKey([]byte(e.ID))
	for at := range f.open {
		if agents[at.agent] && (e.What == forget.Agent || at.key == key || at.key == 0) {
			delete(f.open, at)
		}
	}
}

// wrong returns what no entry explains. restored is where the newest epoch begins
// that a restore has begun: entries behind it may have been cut off.
func (f *forgotten) wrong(restored uint64) (ds []wal.Damage) {
	records := uint64(0)
	all := wal.Damage{Part: "forgotten", From: math.MaxUint64}
	for _, d := range f.open {
		if d.To < restored {
			continue
		}
		records++
		all.From, all.To = min(all.From, d.From), max(all.To, d.To)
	}
	if records == 0 {
		return nil
	}
	all.Msg = fmt.Sprintf("payloads of %d agents or runs of agents are gone, and no record says that they were to be forgotten", records)
	return []wal.Damage{all}
}
