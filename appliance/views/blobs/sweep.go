package blobs

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"eyrie/engine/wire"
	"eyrie/wal"
	"eyrie/wal/blob"
)

// Log is what a sweep asks of the log.
type Log interface {
	Next() uint64
	First() uint64
	Stretches() []wal.Stretch
	Find(ctx context.Context, q wal.Query) (recs []wal.Record, next uint64, err error)
}

// Options configures a Sweeper; all but Every are needed.
type Options struct {
	View  *View
	Blobs *blob.Store
	Store *pebble.DB // of the views
	Log   Log
	Now   func() time.Time
	// Every is how often all files are looked at for those that nothing ever
	// named; default one hour.
	Every time.Duration
	// Wait is how long a sweep waits for the view to get to where the log ended
	// when it began; default 5 s.
	Wait time.Duration
}

// Sweeper drops blobs that nothing names any more. Its methods are for any
// goroutine.
type Sweeper struct {
	o Options

	mu     sync.Mutex
	first  uint64            // of the log, at the last sweep
	looked map[uint64]uint64 // base of a stretch → what of it was dropped then
	walked time.Time
	due    map[blob.Key]bool // lost a row; true: it is to go whatever its age
	all    bool              // every row is to be compared with the log
	below  uint64            // until all of those of events below it were
}

// NewSweeper returns a sweeper that has swept nothing yet.
func NewSweeper(o Options) *Sweeper {
	if o.Every == 0 {
		o.Every = time.Hour
	}
	if o.Wait == 0 {
		o.Wait = 5 * time.Second
	}
	return &Sweeper{o: o, looked: map[uint64]uint64{}, due: map[blob.Key]bool{}}
}

// Swept tells what one sweep did.
type Swept struct {
	Dropped int   // blobs
	Bytes   int64 // of their files
	Left    int64 // bytes of all files there are
	Waiting int   // blobs that are to go at once, and cannot yet: pinned, or used just now
	Behind  bool  // the view did not get to where the log ended: nothing was looked at
}

// Recheck makes the next Sweep compare every row with the log, and drop what
// loses its last one at once: records were taken out of the middle of it.
func (s *Sweeper) Recheck() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all, s.below = true, s.o.Log.Next()
}

// Sweep takes away the rows of events that the log has dropped, and then the
// blobs without a row that are over their grace time. It waits for the view, which
// is always a little behind a log that is written to. What events name that came
// later still has been used just now, so it stays.
func (s *Sweeper) Sweep(ctx context.Context) (r Swept, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, err := s.o.Blobs.Bytes()
	if err != nil {
		return r, err
	}
	r.Behind = !s.caughtUp(ctx)
	if !r.Behind {
		if err = s.unname(ctx); err == nil {
			if r.Behind = !s.caughtUp(ctx); !r.Behind { // with what came while rows were looked at
				err = s.drop(&r)
			}
		}
		if now := s.o.Now(); err == nil && (s.walked.IsZero() || now.Sub(s.walked) >= s.o.Every) {
			s.o.Blobs.Expire()
			if err = s.walk(ctx, &r); err == nil {
				s.walked = now
			}
		}
	}
	for _, atOnce := range s.due {
		if atOnce {
			r.Waiting++
		}
	}
	left, e := s.o.Blobs.Bytes()
	r.Left, r.Bytes = left, max(before-left, 0)
	return r, errors.Join(err, e)
}

// caughtUp waits until the view has got to where the log ends now.
func (s *Sweeper) caughtUp(ctx context.Context) bool {
	end := s.o.Log.Next()
	for pause, left := time.Millisecond, s.o.Wait; s.o.View.next.Load() < end; pause *= 2 {
		if left <= 0 {
			return false
		}
		pause = min(pause, left)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return false
		}
		left -= pause
	}
	return true
}

// unname takes away rows whose event is not in the log any more.
func (s *Sweeper) unname(ctx context.Context) error {
	all := s.all
	first := s.o.Log.First()
	if first > s.first {
		if err := s.look(ctx, 0, first, func([]row) (map[uint64]bool, error) { return nil, nil }, all); err != nil {
			return err
		}
		s.first = first
	}
	var end uint64
	for _, st := range s.o.Log.Stretches() {
		end = st.Next
		if was, ok := s.looked[st.Base]; !all && (st.Dropped == 0 || ok && was == st.Dropped) {
			continue
		}
		there := func(rows []row) (map[uint64]bool, error) { return s.there(ctx, rows, st.Base, st.Next) }
		if err := s.look(ctx, st.Base, st.Next, there, all); err != nil {
			return err
		}
		s.looked[st.Base] = st.Dropped
	}
	for base := range s.looked {
		if base < first {
			delete(s.looked, base)
		}
	}
	if all {
		next := s.o.Log.Next()
		there := func(rows []row) (map[uint64]bool, error) { return s.there(ctx, rows, max(end, 1), next) }
		if err := s.look(ctx, max(end, 1), next, there, true); err != nil {
			return err
		}
		s.all = s.o.View.unsaved(s.below) // those come into the store yet
	}
	return nil
}

// there returns which of the rows' events the log has between the offsets.
func (s *Sweeper) there(ctx context.Context, rows []row, from, to uint64) (map[uint64]bool, error) {
	want := map[uint64][]row{}
	var agents []uint32
	for _, r := range rows {
		want[r.offset] = append(want[r.offset], r)
		agents = append(agents, r.agent)
	}
	found := map[uint64]bool{}
	_, _, err := s.o.Log.Find(ctx, wal.Query{
		Agents: agents, Kinds: wal.KindEvent.Mask(), FromOffset: from, ToOffset: to,
		Match: func(r *wal.Record) bool {
			if rs := want[r.Offset]; len(rs) > 0 && wire.FlagsBlob(r.Flags) && names(r.Payload, rs) {
				found[r.Offset] = true
			}
			return false
		},
	})
	return found, err
}

// names reports whether the payload names what the rows of its event say.
func names(payload []byte, rows []row) bool {
	named := wire.Blobs(nil, payload)
	return !slices.ContainsFunc(rows, func(r row) bool {
		return !slices.ContainsFunc(named, func(n wire.Blob) bool { return n.SHA256 == r.key.Sum })
	})
}

// look takes away those rows between two offsets whose event is not there.
func (s *Sweeper) look(ctx context.Context, from, to uint64, there func([]row) (map[uint64]bool, error), atOnce bool) error {
	rows, err := s.rows(from, to)
	if err != nil || len(rows) == 0 {
		return err
	}
	found, err := there(rows)
	if err != nil {
		return err
	}
	b := s.o.Store.NewBatch()
	defer b.Close()
	for _, r := range rows {
		if found[r.offset] {
			continue
		}
		if err := errors.Join(b.Delete(r.offsetKey(), nil), b.Delete(r.nameKey(), nil)); err != nil {
			return err
		}
		s.due[r.key] = s.due[r.key] || atOnce
	}
	// A crash may bring rows back that are deleted here: they are found dead again.
	return errors.Join(ctx.Err(), b.Commit(pebble.NoSync))
}

// rows returns the saved rows between two offsets.
func (s *Sweeper) rows(from, to uint64) (rows []row, err error) {
	it, err := s.o.Store.NewIter(&pebble.IterOptions{LowerBound: offsetBound(from), UpperBound: offsetBound(to)})
	if err != nil {
		return nil, err
	}
	for ok := it.First(); ok; ok = it.Next() {
		var r row
		if !r.decode(it.Key(), it.Value()) {
			err = errors.New("blobs: a row of the view is damaged")
			break
		}
		rows = append(rows, r)
	}
	return rows, errors.Join(err, it.Error(), it.Close())
}

// drop drops the blobs that have lost a row and have none.
func (s *Sweeper) drop(r *Swept) error {
	for k, atOnce := range s.due {
		named, err := s.o.View.named(s.o.Store, k)
		if err != nil {
			return err
		}
		gone := false
		if !named {
			fn := s.o.Blobs.Drop
			if atOnce {
				fn = s.o.Blobs.Forget
			}
			if gone, err = fn(k); err != nil {
				return err
			}
		}
		if gone {
			r.Dropped++
		}
		if gone || named || !atOnce { // what is young still the walk will find
			delete(s.due, k)
		}
	}
	return nil
}

// walk drops blobs that nothing names, whether or not something ever did.
func (s *Sweeper) walk(ctx context.Context, r *Swept) error {
	return s.o.Blobs.Walk(func(f blob.Found) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := s.o.Blobs.StatFile(f.Name)
		if errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrDamaged) {
			return nil // verify names what is damaged
		}
		if err != nil {
			return err
		}
		named, err := s.o.View.named(s.o.Store, b.Key)
		if err != nil || named {
			return err
		}
		gone, err := s.o.Blobs.Drop(b.Key)
		if gone {
			r.Dropped++
		}
		return err
	})
}

// unsaved tells whether there are rows below an offset that the store has not yet.
func (v *View) unsaved(below uint64) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, m := range []map[blob.Key][]row{v.fresh, v.saving} {
		for _, rows := range m {
			if slices.ContainsFunc(rows, func(r row) bool { return r.offset < below }) {
				return true
			}
		}
	}
	return false
}
