package recorded

import (
	"container/heap"
	"context"
	"strconv"
	"time"

	"eyrie/appliance/sources"
	"eyrie/engine/wire"
)

// Options of Replay.
type Options struct {
	Speed   float64          // 1 (also when 0) is the recorded pace, 10 ten times as fast
	Loop    bool             // play each recording anew after a pause, until ctx ends
	Stagger time.Duration    // between the first events of two recordings, before Speed; 0 = 3 s
	Pause   time.Duration    // before a recording begins anew, before Speed; 0 = 15 s
	GapMax  time.Duration    // longest silence inside a recording, before Speed; 0 = 60 s
	Now     func() time.Time // nil = time.Now
	// Wait waits; nil = a timer. Tests pass a virtual clock.
	Wait func(ctx context.Context, d time.Duration) error
}

func (o Options) withDefaults() Options {
	if o.Speed <= 0 {
		o.Speed = 1
	}
	if o.Stagger == 0 {
		o.Stagger = 3 * time.Second
	}
	if o.Pause == 0 {
		o.Pause = 15 * time.Second
	}
	if o.GapMax == 0 {
		o.GapMax = time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Wait == nil {
		o.Wait = wait
	}
	return o
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// lane is one recording being played: which event comes next, and when.
type lane struct {
	rec   *Recording
	next  int
	due   time.Time
	first time.Time // when this round began
	start int64     // time of the recording's first event
	skip  int64     // silence left out so far, in recorded ns
	round string    // makes the round's ids its own
}

type lanes []*lane

func (l lanes) Len() int           { return len(l) }
func (l lanes) Less(i, j int) bool { return l[i].due.Before(l[j].due) }
func (l lanes) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *lanes) Push(x any)        { *l = append(*l, x.(*lane)) }
func (l *lanes) Pop() any {
	x := (*l)[len(*l)-1]
	*l = (*l)[:len(*l)-1]
	return x
}

// Replay plays the recordings into sink as if they happened now: all times are moved, sessions, runs and spans
// get ids of their own in every round, agents keep theirs. Several play at once. It returns when all have
// ended, with Loop when ctx ends, and nil in both cases.
func Replay(ctx context.Context, sink sources.Sink, recs []Recording, o Options) error {
	o = o.withDefaults()
	if _, err := sink.Welcome(ctx); err != nil {
		return ended(ctx, err)
	}
	var ls lanes
	begin := o.Now()
	for i := range recs {
		if len(recs[i].Events) == 0 {
			continue
		}
		ls = append(ls, newLane(&recs[i], begin.Add(o.scaled(time.Duration(i)*o.Stagger))))
	}
	heap.Init(&ls)
	var batch []wire.Event
	size := 0
	for len(ls) > 0 {
		l := ls[0]
		if d := l.due.Sub(o.Now()); d > 0 {
			if len(batch) > 0 {
				if err := sink.Send(ctx, batch, nil); err != nil {
					return ended(ctx, err)
				}
				batch, size = batch[:0], 0
			}
			if err := o.Wait(ctx, d); err != nil {
				return ended(ctx, err)
			}
			continue
		}
		e := l.event(o)
		batch, size = append(batch, e), size+len(e.AppendMsgpack(nil))
		if len(batch) >= sources.FrameEvents || size >= sources.FrameBytes-wire.MaxEvent {
			if err := sink.Send(ctx, batch, nil); err != nil {
				return ended(ctx, err)
			}
			batch, size = batch[:0], 0
		}
		switch {
		case l.advance(o):
			heap.Fix(&ls, 0)
		case o.Loop:
			ls[0] = newLane(l.rec, l.due.Add(o.scaled(o.Pause)))
			heap.Fix(&ls, 0)
		default:
			heap.Pop(&ls)
		}
	}
	if len(batch) > 0 {
		if err := sink.Send(ctx, batch, nil); err != nil {
			return ended(ctx, err)
		}
	}
	return ended(ctx, sink.Flush(ctx))
}

// ended is nil when the end was asked for.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (o Options) scaled(d time.Duration) time.Duration { return time.Duration(float64(d) / o.Speed) }

func newLane(r *Recording, at time.Time) *lane {
	return &lane{rec: r, due: at, first: at, start: r.Events[0].TS, round: "~" + strconv.FormatInt(at.UnixMilli(), 36)}
}

// advance moves to the next event; false at the end.
func (l *lane) advance(o Options) bool {
	l.next++
	if l.next == len(l.rec.Events) {
		return false
	}
	if gap := l.rec.Events[l.next].TS - l.rec.Events[l.next-1].TS; gap > int64(o.GapMax) {
		l.skip += gap - int64(o.GapMax)
	}
	l.due = l.at(l.rec.Events[l.next].TS, o)
	return true
}

// at is when a recorded instant happens in this round.
func (l *lane) at(ts int64, o Options) time.Time {
	return l.first.Add(o.scaled(time.Duration(ts - l.start - l.skip)))
}

// event is the event in hand, moved to this round.
func (l *lane) event(o Options) wire.Event {
	e := l.rec.Events[l.next]
	e.TS = l.due.UnixNano()
	if e.Start != 0 {
		d := max(0, l.rec.Events[l.next].TS-e.Start)
		e.Start = max(l.first.UnixNano(), e.TS-int64(o.scaled(time.Duration(d))))
	}
	if e.DurMs != nil {
		d := *e.DurMs / o.Speed
		e.DurMs = &d
	}
	e.TSFrom = "estimated" // moved from when it was recorded
	e.Session, e.Run, e.Task = l.id(e.Session), l.id(e.Run), l.id(e.Task)
	e.Span, e.Parent = l.id(e.Span), l.id(e.Parent)
	if len(e.Links) > 0 {
		links := make([]wire.Link, len(e.Links))
		for i, k := range e.Links {
			links[i] = wire.Link{Span: l.id(k.Span), Kind: k.Kind}
		}
		e.Links = links
	}
	return e
}

func (l *lane) id(id string) string {
	if id == "" {
		return ""
	}
	return id[:min(len(id), wire.MaxID-len(l.round))] + l.round
}
