package live

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"eyrie/appliance/query"
	"eyrie/engine/wire"
	"eyrie/wal"
)

// ErrBusy is what a viewer's Send returns when it cannot take a message now:
// the hub keeps the message's content and tries again. Any other error ends
// the viewer.
var ErrBusy = errors.New("live: the viewer cannot take a message now")

// ErrUnreadable is returned by Viewer.Message for one who has sent nothing but
// what is no request for a while.
var ErrUnreadable = errors.New("live: too many messages in a row that cannot be read")

// Log is what the hub reads: *wal.Log.
type Log interface {
	ID() [16]byte
	Epoch() uint32
	Next() uint64
	Follow(from uint64) *wal.Follower
	Find(ctx context.Context, q wal.Query) (recs []wal.Record, next uint64, err error)
	Agent(num uint32) (space, id string, ok bool)
	AgentNum(space, id string) (num uint32, ok bool)
	AgentNums(id string) []uint32
}

// Agents is what the hub knows of the fleet's rows.
type Agents interface {
	// Numbers is above every agent's dense number.
	Numbers() uint32
	// Match tells whether a query selects the agent, in a space ("" = any).
	Match(num uint32, space string, q *query.Query) bool
	// Encode appends the agent's row as JSON.
	Encode(dst []byte, num uint32) []byte
	// Offset is the last offset that the rows hold, and the log's clock (Unix ns).
	Offset() (offset uint64, clock int64)
}

// Fleet is what subscriptions of agents and of the fleet are served from.
type Fleet struct {
	Agents Agents
	// Summary returns the JSON objects of /v1/fleet and /v1/attention for a space ("" = all).
	Summary func(space string) (fleet, attention []byte)
}

// Options make a Hub.
type Options struct {
	Log Log
	Now func() time.Time
	// Readers bounds the goroutines that read and encode for viewers; 0 is 2.
	Readers int
}

// Pacing of conflated messages: the first change goes out at once, then at
// most one message a gap; the gap grows while messages are full.
const (
	gapMin = 50 * time.Millisecond
	gapMax = 500 * time.Millisecond
	// A pulse takes at most one part in so many of the time of one processor, if that
	// does not have a viewer wait for longer than it would.
	pulseCost = 20
	restMax   = 5 * time.Second // between two full messages of rows that are not in focus
	fleetGap  = 500 * time.Millisecond
	busyMin   = 20 * time.Millisecond // before a viewer that was busy is tried again, unless it says Ready
	busyMax   = time.Second           // the same after it was busy for long

	pageItems = 500       // rows a message
	pageBytes = 256 << 10 // soft bound of a message
	blocksRun = 4         // blocks that a reader takes for one viewer in a row

	// CreditsDefault is what a subscription that names no credits starts with.
	CreditsDefault = 500
	creditsMax     = 1 << 20
	subsMax        = 16 // of one viewer
	focusMax       = 512
)

// Hub serves viewers. Close it when done.
type Hub struct {
	o      Options
	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup
	kick   chan struct{}

	mu      sync.Mutex
	subs    map[*sub]struct{}
	viewers map[*Viewer]struct{}
	changed bits   // agents since the last pulse
	moved   bool   // anything changed since the last pulse
	numbers uint32 // above every agent that has ever changed

	shown   atomic.Pointer[Fleet]  // nil until it is loaded
	loading atomic.Pointer[[]byte] // how far that is, a JSON object; nil where nothing was said

	spent atomic.Int64  // ns that readers have worked
	sent  atomic.Uint64 // events and rows, to all viewers together

	run   queue
	cache encoded
	gists gists
	rows  rowCache
	fleet fleetCache
}

// New starts a hub. Until Show, subscriptions of agents and of the fleet wait.
func New(o Options) *Hub {
	if o.Readers <= 0 {
		o.Readers = 2
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	h := &Hub{o: o, subs: map[*sub]struct{}{}, viewers: map[*Viewer]struct{}{}, kick: make(chan struct{}, 1)}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.run.init()
	h.cache.init(o.Log)
	h.done.Add(o.Readers + 2)
	for range o.Readers {
		go h.read()
	}
	go h.pulse()
	go h.tail(o.Log.Follow(o.Log.Next())) // from here on, however late it begins
	return h
}

// Close ends every subscription and waits for the hub's goroutines. Viewers'
// connections are their owners'.
func (h *Hub) Close() {
	h.cancel()
	h.run.close()
	h.done.Wait()
	h.mu.Lock()
	subs := h.subs
	h.subs = map[*sub]struct{}{}
	h.mu.Unlock()
	for s := range subs {
		s.stop()
	}
}

// Changed tells the hub which agents' rows may look different. It never blocks.
func (h *Hub) Changed(nums []uint32, _ uint64) {
	h.mu.Lock()
	if len(h.subs) > 0 {
		for _, n := range nums {
			h.changed.set(n)
			h.numbers = max(h.numbers, n+1)
		}
		h.moved = true
	}
	h.mu.Unlock()
	select {
	case h.kick <- struct{}{}:
	default:
	}
}

// Viewers returns how many viewers and subscriptions there are.
func (h *Hub) Viewers() (viewers, subscriptions int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.viewers), len(h.subs)
}

// Loading tells the viewers that the fleet is being loaded, and how far that is:
// a JSON object.
func (h *Hub) Loading(progress []byte) {
	if h.shown.Load() != nil {
		return
	}
	h.loading.Store(&progress)
	h.tell(loadingMessage(progress))
}

// Show has the subscriptions that wait for the fleet begin. It is called once.
func (h *Hub) Show(f Fleet) {
	h.shown.Store(&f)
	if h.loading.Load() != nil {
		h.tell(loadedMessage)
	}
	h.mu.Lock()
	subs := make([]*sub, 0, len(h.subs))
	for s := range h.subs {
		if s.what != whatEvents {
			subs = append(subs, s)
		}
	}
	h.mu.Unlock()
	for _, s := range subs {
		h.run.push(s)
	}
}

// tell sends a message to every viewer that can take it now.
func (h *Hub) tell(message []byte) {
	h.mu.Lock()
	viewers := make([]*Viewer, 0, len(h.viewers))
	for v := range h.viewers {
		viewers = append(viewers, v)
	}
	h.mu.Unlock()
	for _, v := range viewers {
		_ = v.send(message) // who is gone is closed by its owner
	}
}

// offset is the last one that is shown.
func (h *Hub) offset() uint64 {
	if f := h.shown.Load(); f != nil {
		off, _ := f.Agents.Offset()
		return off
	}
	return h.o.Log.Next() - 1
}

// Sent returns how many events and rows viewers were sent, all together.
func (h *Hub) Sent() uint64 { return h.sent.Load() }

// pulse hands changed agents to the subscriptions that show rows.
func (h *Hub) pulse() {
	defer h.done.Done()
	var batch bits
	rest := time.Duration(0)
	for {
		if !h.hold(rest) {
			return
		}
		select {
		case <-h.kick:
		case <-h.ctx.Done():
			return
		}
		began := h.o.Now()
		var due []*sub
		h.mu.Lock()
		if h.moved {
			h.moved = false
			batch, h.changed = h.changed, batch
			h.changed.clear()
			h.rows.forget()
			for s := range h.subs {
				if s.take(batch, h.numbers) {
					due = append(due, s)
				}
			}
		}
		h.mu.Unlock()
		for _, s := range due {
			h.run.push(s)
		}
		rest = min(h.o.Now().Sub(began)*pulseCost, gapMin)
	}
}

// tail wakes the subscriptions that follow events when the log has grown, as f
// tells.
func (h *Hub) tail(f *wal.Follower) {
	defer h.done.Done()
	var p pace
	for {
		if !h.hold(p.wait(h.spent.Load(), h.o.Now())) {
			return
		}
		_, err := f.Next(h.ctx)
		var lost *wal.LostError
		switch {
		case errors.As(err, &lost):
			if lost.Records == 0 {
				f.Skip(lost.To + 1)
			}
			continue
		case err != nil:
			return
		}
		// A round reads at least up to here: none needs to begin for it.
		f.Skip(h.o.Log.Next())
		var due []*sub
		h.mu.Lock()
		for s := range h.subs {
			if s.what == whatEvents && s.wants() {
				due = append(due, s)
			}
		}
		h.mu.Unlock()
		p.begin(h.spent.Load(), h.o.Now())
		for _, s := range due {
			h.run.push(s)
		}
	}
}

// hold waits; false when the hub closes.
func (h *Hub) hold(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-h.ctx.Done():
		return false
	}
}

func (h *Hub) logID() string {
	return wire.FormatUUID(h.o.Log.ID())
}

// clockMs is the hub's clock for messages.
func (h *Hub) clockMs() float64 { return float64(h.o.Now().UnixMilli()) }
