package intake

import (
	"context"

	"eyrie/appliance/audit"
	"eyrie/wal"
)

// Begin and Step are Run in pieces, for a simulator that decides when what
// happens: Begin once, then Step as often as it likes, all from one goroutine,
// and neither Run nor Stop. Where Options of the log name Committed, the
// simulator may hand the call on later, in order.

// Begin takes the log's Writer and records that a process begins to serve.
func (in *Intake) Begin() {
	in.begin()
	in.chain = auditTail(context.Background(), in.log)
}

func (in *Intake) begin() {
	in.w = in.log.Writer()
	in.nextTick = in.o.Now()
	in.note(owed{kind: wal.KindSystem, class: systemStart})
}

// Step takes in what is there, within the budgets of a turn, and hands what was
// gathered to the log if that takes it. It returns how much was taken in,
// whether a group was handed over, and why the log has failed.
func (in *Intake) Step() (taken int, handed bool, err error) {
	if taken, err = in.take(true); err == nil && in.gathered() {
		handed = in.commit()
	}
	return taken, handed, err
}

// take is a turn, and why the log has failed.
func (in *Intake) take(submissions bool) (taken int, err error) {
	taken = in.turn(submissions)
	return taken, in.log.Err()
}

// beginChain is Begin without the look at where the audit chain stands: that may lie far
// back in the log. Entries of audit wait for it, nothing else does. ended waits until
// it is over.
func (in *Intake) beginChain() (ended func()) {
	in.begin()
	ctx, cancel := context.WithCancel(context.Background())
	in.tail = make(chan audit.Chain, 1)
	done := make(chan struct{})
	go func(found chan<- audit.Chain) {
		defer close(done)
		found <- auditTail(ctx, in.log)
		in.Notify()
	}(in.tail)
	return func() {
		cancel()
		<-done
	}
}

// chained takes in the entries that have waited for the chain, once that is known.
func (in *Intake) chained() {
	if in.tail == nil {
		return
	}
	select {
	case in.chain = <-in.tail:
	default:
		return
	}
	waited := in.unchained
	in.tail, in.unchained = nil, nil
	for _, s := range waited {
		in.submit(s)
	}
}

// auditTail returns where the log's audit chain stands.
func auditTail(ctx context.Context, log *wal.Log) audit.Chain {
	return audit.Tail(log.ID(), func(at func(payload []byte) bool) {
		_, _, _ = log.Find(ctx, wal.Query{
			Kinds: wal.KindSystem.Mask(), Classes: 1 << audit.Class, Reverse: true, Limit: 1,
			Match: func(r *wal.Record) bool { return r.Class == audit.Class && at(r.Payload) },
		})
	})
}
