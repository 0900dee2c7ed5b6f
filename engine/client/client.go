package client

import (
	"context"
	"fmt"
	"sync"
	"time"

	"eyrie/engine/wire"
)

// Client is a producer's end of the link.
type Client struct {
	opt    Options
	ctx    context.Context // ends with the client
	cancel context.CancelFunc
	done   chan struct{}
	kick   chan struct{} // something for the link's writer to look at

	mu      sync.Mutex
	q       queue
	changed chan struct{} // closed and renewed whenever room, acks or the end may concern a waiter
	flush   int           // waiters that want the open batch out
	welcome wire.Welcome
	met     bool      // a welcome has come
	doubt   uint64    // numbers up to it are settled by acks alone, not by a welcome's next
	heard   time.Time // when the last message of any link came
	said    int64     // the clock in the last hello
	link    *link
	rate    float64 // events a second that the server asked for; 0 = no limit
	err     error   // why the client ended
	lastErr error   // why the last link ended
	closing bool
	stats   Stats
}

// Dial connects and returns when the server's first welcome is there. Until ctx ends it tries again, but for an
// answer that is final (a wrong key, a fence) or with Options.FailFast. ctx only bounds Dial.
func Dial(ctx context.Context, opt Options) (*Client, error) {
	if _, err := target(opt.URL); err != nil {
		return nil, err
	}
	opt.fill()
	c := &Client{opt: opt, done: make(chan struct{}), kick: make(chan struct{}, 1), changed: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.q.next = opt.First
	first := make(chan error, 1)
	go c.run(first)
	select {
	case err := <-first:
		if err != nil {
			c.cancel()
			<-c.done
			return nil, err
		}
		return c, nil
	case <-ctx.Done():
		c.cancel()
		<-c.done
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.lastErr == nil {
			return nil, fmt.Errorf("client: no link: %w", context.Cause(ctx))
		}
		return nil, fmt.Errorf("client: no link: %w; the last try: %w", context.Cause(ctx), c.lastErr)
	}
}

// Send numbers the events and queues them; it returns the number of the first. An event that the server would
// refuse is refused here with a *wire.FieldError, and none of the events is taken. At the bound it blocks until
// there is room or ctx ends, or returns ErrFull; the events before that one are taken.
func (c *Client) Send(ctx context.Context, events ...wire.Event) (first uint64, err error) {
	payloads := make([][]byte, len(events))
	for i := range events {
		payloads[i] = events[i].AppendMsgpack(nil)
	}
	return c.SendPayloads(ctx, payloads...)
}

// SendPayloads is Send for events that are MessagePack maps already. It keeps the slices.
func (c *Client) SendPayloads(ctx context.Context, payloads ...[]byte) (first uint64, err error) {
	sizes, err := c.check(payloads)
	if err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, p := range payloads {
		if err := c.room(ctx, 1, len(p)+eventOverhead); err != nil {
			return first, err
		}
		if b := c.q.open; b != nil && b.wire+sizes[i] > c.opt.FrameBytes {
			c.q.seal()
		}
		fresh := c.q.open == nil
		seq := c.q.add(p, sizes[i], c.opt.Now())
		if i == 0 {
			first = seq
		}
		c.stats.Sent++
		full := c.q.open.n >= uint64(c.opt.FrameEvents)
		if full {
			c.q.seal()
		}
		if fresh || full {
			c.wake()
		}
	}
	return first, nil
}

// SendWithPos queues the events as one frame that the server commits together with pos, or not at all; the last
// committed pos comes back in Welcome. It returns ErrTooLarge where one frame cannot hold them.
func (c *Client) SendWithPos(ctx context.Context, events []wire.Event, pos []byte) (first uint64, err error) {
	if len(events) == 0 {
		return 0, ErrNoEvents
	}
	payloads := make([][]byte, len(events))
	for i := range events {
		payloads[i] = events[i].AppendMsgpack(nil)
	}
	sizes, err := c.check(payloads)
	if err != nil {
		return 0, err
	}
	total, memory := 0, 0
	for i, p := range payloads {
		total += sizes[i] + 1
		memory += len(p) + eventOverhead
	}
	if len(events) > wire.MaxFrameEvents || total > frameBytesMax || len(pos) > wire.MaxPos {
		return 0, ErrTooLarge
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.room(ctx, len(events), memory+len(pos)); err != nil {
		return 0, err
	}
	c.q.seal()
	first = c.q.next
	for i, p := range payloads {
		c.q.add(p, sizes[i], time.Time{})
	}
	b := c.q.open
	b.pos = append([]byte{}, pos...)
	b.bytes += len(pos)
	c.q.bytes += len(pos)
	c.q.seal()
	c.stats.Sent += uint64(len(events))
	c.wake()
	return first, nil
}

// check judges payloads as the server would and returns what each takes in a frame.
func (c *Client) check(payloads [][]byte) ([]int, error) {
	sizes := make([]int, len(payloads))
	var text []byte
	for i, p := range payloads {
		if _, e := wire.CheckPayload(p); e != nil {
			return nil, e
		}
		sizes[i] = len(p)
		if c.opt.Codec != wire.MsgPack {
			form := wire.AppendEventJSON
			if c.opt.Codec == wire.Proto {
				form = wire.AppendEventProto
			}
			var err error
			if text, err = form(text[:0], p); err != nil {
				return nil, err
			}
			sizes[i] = len(text)
		}
		if sizes[i] > frameBytesMax {
			return nil, ErrTooLarge
		}
	}
	return sizes, nil
}

// room waits, with the mutex held on entry and return, until n more events fit.
func (c *Client) room(ctx context.Context, n, bytes int) error {
	if n > c.opt.MaxEvents || bytes > c.opt.MaxBytes {
		return ErrTooLarge
	}
	for {
		switch {
		case c.err != nil:
			return c.err
		case c.closing:
			return ErrClosed
		case c.q.events+n <= c.opt.MaxEvents && c.q.bytes+bytes <= c.opt.MaxBytes:
			return nil
		case c.opt.FailFull:
			return ErrFull
		}
		if err := c.wait(ctx); err != nil {
			return err
		}
	}
}

// wait lets go of the mutex until something has changed.
func (c *Client) wait(ctx context.Context) error {
	changed := c.changed
	c.mu.Unlock()
	defer c.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// notify wakes every waiter; the mutex is held.
func (c *Client) notify() {
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *Client) wake() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// Flush returns when every number given out so far is settled.
func (c *Client) Flush(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	target := c.q.next
	c.flush++
	defer func() { c.flush-- }()
	c.wake()
	for c.q.base() < target {
		if c.err != nil {
			return c.err
		}
		if err := c.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Lost gives up every event that the present link has not carried yet and tells the server so, in order; with no
// link that is all that is held. It returns the numbers given up, 0, 0 for none. A way out where newer events matter
// more than older ones.
func (c *Client) Lost(reason string) (from, to uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	from, to, events := c.q.giveUp(reason)
	if events > 0 {
		c.stats.Lost += uint64(events)
		c.notify()
		c.wake()
	}
	return from, to
}

// Result answers a command; data is what wire.AppendValue takes, nil for none. It is not kept across a cut.
func (c *Client) Result(id string, ok bool, data any) error {
	var raw []byte
	if data != nil {
		raw = wire.AppendValue(nil, data)
	}
	c.mu.Lock()
	l, err := c.link, c.err
	c.mu.Unlock()
	switch {
	case err != nil:
		return err
	case l == nil:
		return ErrNotConnected
	}
	return l.message(func(b []byte) []byte { return wire.AppendResult(b, c.opt.Codec, id, ok, raw) })
}

// Welcome returns the newest welcome: Pos is the last committed position, Next the first number not settled then.
func (c *Client) Welcome() wire.Welcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.welcome
}

// Producer returns the producer and epoch in use.
func (c *Client) Producer() (id [16]byte, epoch uint64) { return c.opt.Producer, c.opt.Epoch }

// Stats returns the counts so far.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Connected = c.link != nil
	s.UnackedEvents, s.UnackedBytes = c.q.events, c.q.bytes
	s.UnackedEventsMax, s.UnackedBytesMax = c.opt.MaxEvents, c.opt.MaxBytes
	return s
}

// Done is closed when the client has ended: by Close, a fence or a final refusal; Err then says why.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns why the client ended, nil while it has not.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close takes no more events, waits until ctx ends for those taken to be settled, and ends the client. It returns
// nil when all were, else why not. Both goroutines are gone when it returns.
func (c *Client) Close(ctx context.Context) error {
	c.mu.Lock()
	c.closing = true
	c.notify()
	c.mu.Unlock()
	err := c.Flush(ctx)
	if err == ErrClosed {
		err = nil
	}
	c.cancel()
	<-c.done
	return err
}

// end records the first reason.
func (c *Client) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
	c.notify()
}
