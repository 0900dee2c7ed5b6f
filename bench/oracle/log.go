package oracle

import (
	"context"
	"fmt"

	"eyrie/bench/ledger"
	"eyrie/wal"
)

// faultsMax bounds the faults that are spelled out.
const faultsMax = 10

// faults counts what is wrong and spells out the first of it.
type faults struct {
	n    uint64
	says []string
}

func (f *faults) add(format string, args ...any) {
	f.n++
	if len(f.says) < faultsMax {
		f.says = append(f.says, fmt.Sprintf(format, args...))
	}
}

// LogVerdict is what CheckLog found. Of a right log every count but Events is 0.
type LogVerdict struct {
	Events   uint64 // in the log, of producers in the ledger
	Missing  uint64 // acknowledged, not in the log
	Twice    uint64 // in the log again, or not in the order of their numbers
	Changed  uint64 // with other content than what was acknowledged
	Unasked  uint64 // in the log, never acknowledged
	Recorded uint64 // loss, refusal and hole records: there is no reason for any
	Says     []string
}

// Right reports whether nothing was found.
func (v *LogVerdict) Right() bool {
	return v.Missing+v.Twice+v.Changed+v.Unasked+v.Recorded == 0
}

// CheckLog reads the whole log and holds it against the ledger; conns tells the
// connection of each producer that the ledger is about.
func CheckLog(ctx context.Context, l *wal.Log, led *ledger.Ledger, conns map[[16]byte]int) (*LogVerdict, error) {
	v := &LogVerdict{}
	var f faults
	last := map[int]uint64{} // highest number seen, of connection
	of := map[uint32]int{}   // connection of producer number, -1 for others
	follow := l.Follow(1)
	for end := l.Next(); follow.Offset() < end; {
		b, err := follow.Next(ctx)
		if err != nil {
			return v, err
		}
		for i := range b.Len() {
			rec := b.Record(i)
			switch rec.Kind {
			case wal.KindEvent:
			case wal.KindLost, wal.KindRefused, wal.KindShed, wal.KindHole:
				v.Recorded++
				f.add("offset %d is a record of kind %v", rec.Offset, rec.Kind)
				continue
			default:
				continue
			}
			conn, ok := of[rec.Producer]
			if !ok {
				conn = -1
				if p, known := l.Producer(rec.Producer); known {
					if c, mine := conns[p.Key.ID]; mine {
						conn = c
					}
				}
				of[rec.Producer] = conn
			}
			if conn < 0 {
				continue
			}
			v.Events++
			if rec.Seq != last[conn]+1 {
				v.Twice++
				f.add("offset %d: connection %d number %d follows number %d", rec.Offset, conn, rec.Seq, last[conn])
			}
			last[conn] = max(last[conn], rec.Seq)
			switch sum, ok := led.At(conn, rec.Seq); {
			case !ok:
				v.Unasked++
				f.add("offset %d: connection %d number %d was never acknowledged", rec.Offset, conn, rec.Seq)
			case sum != ledger.Sum(rec.Payload):
				v.Changed++
				f.add("offset %d: connection %d number %d has other content than what was acknowledged", rec.Offset, conn, rec.Seq)
			}
		}
	}
	for _, conn := range conns {
		if n := led.Last(conn); n > last[conn] {
			v.Missing += n - last[conn]
			f.add("connection %d: %d acknowledged, the log ends at %d", conn, n, last[conn])
		}
	}
	v.Says = f.says
	return v, nil
}
