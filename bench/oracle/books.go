package oracle

import (
	"context"

	"eyrie/engine/wire"
	"eyrie/wal"
)

// Account is what the log has of one producer's numbers.
type Account struct {
	Stored  uint64
	Refused uint64
	Shed    [4]uint64 // by class, as the shed records have it
	Lost    uint64
	Next    uint64 // number behind the last one settled
	Torn    uint64 // numbers settled twice, or out of order
}

// ShedAll is the numbers shed of all classes.
func (a *Account) ShedAll() uint64 { return a.Shed[0] + a.Shed[1] + a.Shed[2] + a.Shed[3] }

// Settled is how many numbers the log has a record for.
func (a *Account) Settled() uint64 { return a.Stored + a.Refused + a.ShedAll() + a.Lost }

// Accounts reads the whole log and adds up what became of the numbers of each
// of the producers.
func Accounts(ctx context.Context, l *wal.Log, producers map[[16]byte]int) (map[int]*Account, error) {
	all := map[int]*Account{}
	for _, c := range producers {
		all[c] = &Account{Next: 1}
	}
	of := map[uint32]*Account{}
	follow := l.Follow(1)
	for end := l.Next(); follow.Offset() < end; {
		b, err := follow.Next(ctx)
		if err != nil {
			return nil, err
		}
		for i := range b.Len() {
			rec := b.Record(i)
			switch rec.Kind {
			case wal.KindEvent, wal.KindLost, wal.KindRefused, wal.KindShed:
			default:
				continue
			}
			a, known := of[rec.Producer]
			if !known {
				if p, ok := l.Producer(rec.Producer); ok {
					if c, mine := producers[p.Key.ID]; mine {
						a = all[c]
					}
				}
				of[rec.Producer] = a
			}
			if a == nil {
				continue
			}
			if rec.Seq != a.Next {
				a.Torn++
			}
			a.Next = rec.To() + 1
			n := rec.To() - rec.Seq + 1
			switch rec.Kind {
			case wal.KindEvent:
				a.Stored++
			case wal.KindRefused:
				a.Refused++
			case wal.KindShed:
				for _, class, k, rest, ok := wire.CutShedEntry(rec.Body()); ok; _, class, k, rest, ok = wire.CutShedEntry(rest) {
					a.Shed[class] += k
				}
			case wal.KindLost:
				a.Lost += n
			}
		}
	}
	return all, nil
}
