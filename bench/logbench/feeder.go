package logbench

import (
	"fmt"
	"sync/atomic"
	"time"

	"eyrie/wal"
)

// Feeder gives a log events as intake does: agent looked up, event appended and
// its verdict judged, a commit whenever none is in flight, and a wait where the
// group is full.
type Feeder struct {
	Log     *wal.Log
	w       *wal.Writer
	ready   chan struct{}
	durable atomic.Uint64
	failed  atomic.Pointer[error]
	senders []uint32 // producer numbers by sender; 0 = not yet seen
	seqs    []uint64
	stalled chan struct{} // from then on nothing more is fed
}

// OpenFeeder opens a log with the options, whose hooks it sets.
func OpenFeeder(o wal.Options) (*Feeder, error) {
	f := &Feeder{ready: make(chan struct{}, 1)}
	o.Ready = f.wake
	o.Committed = func(_ any, _, last uint64, err error) {
		if err != nil {
			f.failed.Store(&err)
		}
		f.durable.Store(last)
		f.wake()
	}
	l, err := wal.Open(o)
	if err != nil {
		return nil, err
	}
	f.Log, f.w = l, l.Writer()
	f.durable.Store(l.Next() - 1)
	return f, nil
}

func (f *Feeder) wake() {
	select {
	case f.ready <- struct{}{}:
	default:
	}
}

// sender returns the producer of a sender and its next number.
func (f *Feeder) sender(conn int) (uint32, uint64, error) {
	for conn >= len(f.senders) {
		f.senders, f.seqs = append(f.senders, 0), append(f.seqs, 0)
	}
	if f.senders[conn] == 0 {
		p, wel, err := f.w.Fence(wal.ProducerKey{Space: Space, Owner: "bench", ID: [16]byte{byte(conn), byte(conn >> 8), byte(conn >> 16), 1}}, 1, 1)
		if err != nil {
			return 0, 0, err
		}
		f.senders[conn], f.seqs[conn] = p+1, wel.Next
	}
	return f.senders[conn] - 1, f.seqs[conn], nil
}

var space = []byte(Space)

// Feed appends one frame of a sender, received at recv (Unix ns), and commits if
// it can. It waits where the log is full.
func (f *Feeder) Feed(items []Item, conn int, recv int64) error {
	p, seq, err := f.sender(conn)
	if err != nil {
		return err
	}
	for i := range items {
		it := &items[i]
		if v := f.w.Append(p, seq, it.Class, it.Flags, f.w.Agent(space, it.Agent), it.Key, recv, it.Payload); v != wal.Stored {
			return fmt.Errorf("event %d of sender %d: %v (%v)", seq, conn, v, f.Log.Err())
		}
		seq++
	}
	f.seqs[conn] = seq
	for !f.w.Commit(nil) && f.w.Full() {
		if err := f.wait(); err != nil {
			return err
		}
	}
	return nil
}

// Settle waits until all that was fed is durable.
func (f *Feeder) Settle() error {
	for last := f.w.Next() - 1; f.durable.Load() < last; {
		if f.w.Pending() && f.w.Commit(nil) {
			continue
		}
		if err := f.wait(); err != nil {
			return err
		}
	}
	return nil
}

func (f *Feeder) wait() error {
	select {
	case <-f.ready:
	case <-f.stalled:
		return errStalled
	}
	if err := f.failed.Load(); err != nil {
		return *err
	}
	return f.Log.Err()
}

// sealedEvery is how often a wait for the sealer looks.
const sealedEvery = 5 * time.Millisecond

// Sealed waits until the sealer has no full stretch before it.
func (f *Feeder) Sealed() error {
	for f.Log.Stats().SealBehind > 0 {
		time.Sleep(sealedEvery)
		if err := f.Log.Err(); err != nil {
			return err
		}
	}
	return nil
}
