package intake

import (
	"context"
	"crypto/sha256"
	"errors"

	"eyrie/appliance/audit"
	"eyrie/appliance/forget"
	"eyrie/wal"
)

// Event is one event of a Submission: a canonical payload with what the wire
// found in it, or a refusal.
type Event struct {
	Agent   string
	Class   uint8
	Flags   uint8
	Key     uint32
	Payload []byte
}

// Submission is one atomic append without a link: a POST, or eyrie's own
// events. Its numbers are the server's.
type Submission struct {
	Space, Owner string
	Events       []Event
	// Once, if not empty, names the submission (space, owner, route and
	// Idempotency-Key): a second one of the same name adds nothing and gets
	// the first one's answer, or ErrMismatch if its Body differs.
	Once string
	// Body is the hash of the request, compared where Once is given.
	Body [32]byte
	// Answer is kept with a named submission and given back to its repeats.
	Answer []byte

	// Audit, if not nil, is appended as the next entry of the log's audit
	// chain; it gets its number and instant. Space, Owner and Events are then empty.
	Audit *audit.Entry

	// Forget, if not nil, is appended as the record of what is forgotten, or was; it
	// gets its instant. All else is then empty.
	Forget *forget.Entry

	// First and Last are the offsets of the first and last event stored;
	// 0 where none was. Replayed says that Answer is the first one's.
	First, Last uint64
	Replayed    bool

	err  error
	done chan struct{}
}

// ErrMismatch is returned by Submit for a name that was used with another body.
var ErrMismatch = errors.New("this Idempotency-Key was used with another request")

// posVersion marks how a named submission's body hash and answer are kept as
// its producer's position: version u8 | body hash [32] | first u64 | last u64 | answer.
const posVersion = 1

// Submit appends s and returns once it is durable, or was not stored at all.
// It may be called concurrently; s must not be touched until it returns.
func (in *Intake) Submit(ctx context.Context, s *Submission) error {
	if err := in.Offer(s); err != nil {
		return err
	}
	return in.Await(ctx, s)
}

// Offer is the first half of Submit: s comes before what is offered later. Who
// offers awaits it, and does not touch it until then.
func (in *Intake) Offer(s *Submission) error {
	s.done = make(chan struct{})
	select {
	case <-in.over:
		return ErrStopped
	default:
	}
	select {
	case in.subs <- s:
		return nil
	default:
		return ErrBusy
	}
}

// Await is the other half of Submit.
func (in *Intake) Await(ctx context.Context, s *Submission) error {
	select {
	case <-s.done:
		return s.err
	case <-in.over:
		// Run has ended; what it could not answer it never will.
		select {
		case <-s.done:
			return s.err
		default:
			return ErrStopped
		}
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Submission) finish(err error) {
	s.err = err
	close(s.done)
}

// submit takes in one submission as a whole.
func (in *Intake) submit(s *Submission) {
	in.recv = in.o.Now().UnixNano() // the turn may have begun before s was made
	if err := in.w.Wall(); err != nil {
		s.finish(err)
		return
	}
	if s.Audit != nil && in.tail != nil {
		in.unchained = append(in.unchained, s)
		return
	}
	if s.Audit != nil {
		s.Audit.At = in.recv
		was := in.chain
		if s.First = in.w.System(wal.KindSystem, audit.Class, 0, in.chain.Append(nil, s.Audit)); s.First == 0 {
			in.chain = was
			s.finish(errors.New("the log does not take the audit record"))
			return
		}
		s.Last = s.First
		in.cur.done = append(in.cur.done, s)
		return
	}
	if s.Forget != nil {
		s.Forget.At = in.recv
		if s.First = in.w.System(wal.KindSystem, forget.Class, 0, s.Forget.Append(nil)); s.First == 0 {
			s.finish(errors.New("the log does not take the record of what is forgotten"))
			return
		}
		s.Last = s.First
		in.cur.done = append(in.cur.done, s)
		return
	}
	// A link's producer has the bare owner and an id that its client chose: none
	// of them may be one of these, whose numbers are the server's to give.
	key := wal.ProducerKey{Space: s.Space, Owner: "post:" + s.Owner}
	if s.Once != "" {
		sum := sha256.Sum256([]byte(s.Once))
		copy(key.ID[:], sum[:])
		key.Owner = onceOwner + s.Owner
	}
	p, wel, known := in.w.Producer(key)
	if s.Once != "" && known && len(wel.Pos) > 0 && in.repeat(s, wel.Pos) {
		return
	}
	if !known {
		var err error
		if p, wel, err = in.w.Fence(key, 1, 1); err != nil {
			s.finish(err)
			return
		}
	}
	seq := wel.Next
	for i := range s.Events {
		e := &s.Events[i]
		agent := in.w.Agent([]byte(s.Space), []byte(e.Agent))
		switch v := in.w.Append(p, seq, e.Class, e.Flags, agent, e.Key, in.recv, e.Payload); v {
		case wal.Stored:
			in.m.stored.Inc()
		default:
			s.finish(errors.New("the log refused a number of its own: " + v.String()))
			return
		}
		off := in.w.Next() - 1
		if s.First == 0 {
			s.First = off
		}
		s.Last = off
		seq++
	}
	if s.Once != "" {
		in.w.Pos(p, appendOnce(nil, s, in.recv))
	}
	in.cur.done = append(in.cur.done, s)
}

// repeat answers a named submission that was made before, and reports whether
// it did: an answer older than onceLife is no longer one.
func (in *Intake) repeat(s *Submission, pos []byte) bool {
	o, ok := decodeOnce(pos)
	switch {
	case !ok:
		s.finish(errors.New("the record of this Idempotency-Key cannot be read"))
		return true
	case in.recv-o.at >= int64(onceLife):
		return false
	case o.body != s.Body:
		s.finish(ErrMismatch)
		return true
	}
	s.First, s.Last, s.Replayed, s.Answer = o.first, o.last, true, o.answer
	// The first one may still be under way: the answer waits for its commit.
	in.cur.done = append(in.cur.done, s)
	return true
}
