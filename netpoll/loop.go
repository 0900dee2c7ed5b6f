//go:build linux

package netpoll

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"eyrie/netpoll/tables"

	"golang.org/x/sys/unix"
)

// Loop is one thread with its epoll, its connections and its memory. Methods
// are for that thread, and for the NewHandler before Start; only Wake and
// Index are for everyone.
type Loop struct {
	poll  *Poll
	index int
	h     Handler
	tf    Transform
	// thread is where the loop runs if it has a descriptor table of its own:
	// no descriptor but wakeFD means anything elsewhere then.
	thread *tables.Thread

	ep, wakeFD int
	spare      int // descriptor given up to refuse connections when none is left
	slab       slab
	stash      stash
	cells      cells
	wheel      wheel
	epoch      int64 // clock at tick 1
	now        int64 // clock at the start of this cycle
	trimAt     int64

	events []unix.EpollEvent
	share  share
	buf    []byte // ReadBuffer and room for kept bytes in front
	plain  []byte // what a Transform yields
	cipher []byte // what a Transform sends
	msg    unix.Msghdr
	iov    [32]unix.Iovec
	from   unix.RawSockaddrAny

	batch    []byte // bytes for batchFor, sent together at the end of a call
	batchFor Handle
	current  Handle // whose Read is in progress

	ends     []ending // connections whose Close is due
	again    []Handle // to be read without an event: resumed, or held before
	spent    []Handle // the other buffer of again
	set      []Handle // set aside while reads are held
	due      []uint32
	closing  []int32 // descriptors to close, a few each cycle; empty once all are
	closedTo int     // how many of them are closed
	hold     bool
	running  bool
	busy     bool // the last sleep ended with an event
	leaving  bool // ends when the last connection is gone

	listeners []*listener
	muted     int // how many of them

	n    counts
	held atomic.Int64 // bytes in cells

	woken    atomic.Bool
	sleeping atomic.Bool
	wakers   atomic.Int32
	ended    atomic.Bool
	postMu   sync.Mutex
	posts    []func(*Loop)
	postEnd  bool
}

type ending struct {
	h   Handle
	err error
}

// Events of other descriptors than connections carry generation 0 and one of
// these slots, or a listener's id.
const wakeSlot = 1<<31 - 1

const (
	closesPerCycle  = 128
	closingKept     = 4096 // entries
	acceptsPerCycle = 64
	acceptsAtEnd    = 1 << 16 // a listener's queue is no longer than that
	muteFor         = 100 * time.Millisecond
)

// Index is the loop's place in Poll.Loops and in Handle.Loop.
func (l *Loop) Index() int { return l.index }

// Now is the clock at the start of this cycle, in nanoseconds.
func (l *Loop) Now() int64 { return l.now }

// Conns is the number of connections on the loop.
func (l *Loop) Conns() int { return int(l.slab.live.Load()) }

// Wake makes the loop call Handler.Wake soon. Calls between two such calls are
// one. For any goroutine; after the loop has ended it does nothing.
func (l *Loop) Wake() {
	// Order matters: woken before sleeping here, sleeping before woken in
	// wait. So either the loop sees woken or we see it asleep.
	if l.woken.Swap(true) {
		return
	}
	l.wakers.Add(1)
	if !l.ended.Load() && l.sleeping.Load() {
		var one [8]byte
		binary.NativeEndian.PutUint64(one[:], 1)
		// The only errors are EAGAIN, when it is readable anyway, and EINTR.
		for {
			if _, err := unix.Write(l.wakeFD, one[:]); err != unix.EINTR {
				break
			}
		}
	}
	l.wakers.Add(-1)
}

// post runs fn on the loop's thread; false when the loop has ended.
func (l *Loop) post(fn func(*Loop)) bool {
	l.postMu.Lock()
	if l.postEnd {
		l.postMu.Unlock()
		return false
	}
	l.posts = append(l.posts, fn)
	l.postMu.Unlock()
	l.Wake()
	return true
}

func (l *Loop) run() {
	l.running = true
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if l.poll.cfg.Thread != nil {
		l.poll.cfg.Thread()
	}
	for {
		n := l.wait()
		l.now = l.poll.cfg.Now()
		l.share.begin(n+len(l.again), l.poll.cfg.ReadBuffer, l.n.readBytes)
		for i := range n {
			l.event(&l.events[i])
		}
		if len(l.again) > 0 {
			l.readAgain()
		}
		if l.woken.Swap(false) {
			l.wakeUp()
		}
		l.timers()
		l.finish()
		l.closeSome()
		if l.share.worth(l.n.readBytes) {
			l.share.end(l.poll.cfg.Now()-l.now, l.n.readBytes)
		}
		l.n.cycles++
		l.n.publish(l.poll.n)
		l.held.Store(int64(l.cells.bytes))
		if l.leaving && l.slab.live.Load() == 0 && len(l.closing) == 0 && l.lastPost() {
			l.shut()
			return
		}
	}
}

// lastPost refuses further posts, unless some still wait.
func (l *Loop) lastPost() bool {
	l.postMu.Lock()
	defer l.postMu.Unlock()
	l.postEnd = len(l.posts) == 0
	return l.postEnd
}

// wait sleeps until something happens and returns the number of events.
func (l *Loop) wait() int {
	if l.busy {
		// Where there was something there often is again. A look that cannot
		// block spares the clock, and the runtime the watch over a call that may.
		if n, e := epollWait(l.ep, l.events, 0); e == 0 && n > 0 {
			return n
		}
	}
	n := l.sleep()
	l.busy = n > 0
	return n
}

// sleep is wait's slow half.
func (l *Loop) sleep() int {
	ms := l.patience()
	if ms != 0 {
		l.sleeping.Store(true)
		if l.woken.Load() {
			ms = 0
		}
	}
	n, e := epollWait(l.ep, l.events, ms)
	l.sleeping.Store(false)
	if e != 0 && e != unix.EINTR {
		panic(fmt.Sprintf("netpoll: epoll_wait on loop %d: %v", l.index, e)) // only our own mistakes: EBADF, EFAULT, EINVAL
	}
	return n
}

// patience is how many milliseconds the loop may sleep; −1 for ever.
func (l *Loop) patience() int {
	if len(l.again)+len(l.ends)+len(l.closing) > 0 {
		return 0
	}
	until := int64(-1)
	if t := l.wheel.wait(); t > 0 {
		until = l.epoch + int64(l.wheel.tick+t-1)*int64(l.poll.cfg.Tick)
	}
	if l.muted > 0 {
		if m := l.now + int64(muteFor); until < 0 || m < until {
			until = m
		}
	}
	if l.cells.bytes > 0 && (until < 0 || l.trimAt < until) {
		until = l.trimAt
	}
	if until < 0 {
		return -1
	}
	left := until - l.poll.cfg.Now()
	return int(min(max(0, (left+int64(time.Millisecond)-1)/int64(time.Millisecond)), 60_000))
}

func (l *Loop) event(ev *unix.EpollEvent) {
	slot, gen := uint32(ev.Fd), uint32(ev.Pad)
	if gen == 0 {
		if slot == wakeSlot {
			var b [8]byte
			recvEventfd(l.wakeFD, b[:])
		} else {
			l.acceptFrom(slot)
		}
		return
	}
	c := l.slab.find(gen, slot)
	if c == nil || c.has(isEnding) {
		return
	}
	h := makeHandle(l.index, gen, slot)
	if ev.Events&unix.EPOLLOUT != 0 {
		l.flush(h, c)
		if l.slab.find(gen, slot) == nil || c.has(isEnding) {
			return
		}
	}
	if ev.Events&^unix.EPOLLOUT == 0 {
		return
	}
	switch {
	case c.has(isClosing):
		l.drain(h, c)
	case !c.has(isArmedIn):
		// Paused. An error or the end of both directions comes unasked, and
		// would come back for ever; bytes can only come from before the pause.
		if ev.Events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
			l.end(h, c, sockErr(c.fd))
		}
	default:
		l.read(h, c)
	}
}

func recvEventfd(fd int, b []byte) {
	for {
		if _, err := unix.Read(fd, b); err != unix.EINTR {
			return
		}
	}
}

func (l *Loop) wakeUp() {
	l.n.wakes++
	l.postMu.Lock()
	posts := l.posts
	l.posts = nil
	l.postMu.Unlock()
	for _, fn := range posts {
		fn(l)
	}
	l.h.Wake()
	l.flushBatch()
}

// timers fires what is due and does what is done now and then.
func (l *Loop) timers() {
	l.due = l.wheel.advance(l.tickOf(l.now), l.due[:0])
	for _, slot := range l.due {
		c := l.slab.at(slot)
		h := makeHandle(l.index, c.gen, slot)
		switch {
		case !c.has(isLive) || c.has(isEnding) || c.at != 0:
		case c.has(isClosing):
			l.end(h, c, ErrLinger)
		default:
			l.n.timeouts++
			l.h.Timeout(h)
			l.flushBatch()
		}
	}
	if l.now >= l.trimAt {
		l.trimAt = l.now + int64(trimEvery)
		l.cells.trim()
		l.stash.trim()
	}
	if l.muted > 0 {
		l.unmute()
	}
}

// tickOf is the tick that time t lies in; the epoch's is 1.
func (l *Loop) tickOf(t int64) uint32 {
	return uint32((t-l.epoch)/int64(l.poll.cfg.Tick)) + 1
}

// SetTimer makes the connection's one timer fire after the given time, up to
// one Tick late; 0 or less turns it off. Putting a timer off is cheap enough
// for every message. Unknown handles are ignored.
func (l *Loop) SetTimer(h Handle, after time.Duration) {
	c := l.usable(h)
	if c == nil {
		return
	}
	if after <= 0 {
		l.wheel.off(h.Slot())
		return
	}
	l.setTimer(h.Slot(), after)
}

func (l *Loop) setTimer(slot uint32, after time.Duration) {
	tick := int64(l.poll.cfg.Tick)
	after = min(after, time.Duration(tick)<<30) // ticks are compared modulo 2^32
	l.wheel.set(slot, uint32((l.now-l.epoch+int64(after)+tick-1)/tick)+1)
}

// usable is the connection of h unless it is gone or on its way out.
func (l *Loop) usable(h Handle) *conn {
	if h.Loop() != l.index {
		return nil
	}
	c := l.slab.find(h.Generation(), h.Slot())
	if c == nil || c.has(isClosing|isEnding|isDetached) {
		return nil
	}
	return c
}

// arm asks epoll for what the connection waits for, if that has changed.
func (l *Loop) arm(h Handle, c *conn) {
	want := uint16(0)
	if !c.has(isPeerDone) && (c.has(isClosing) || !c.has(isPaused|isHeld|isAgain)) {
		want |= isArmedIn
	}
	if l.stash.at(c).outLen > 0 {
		want |= isArmedOut
	}
	if c.flags&(isArmedIn|isArmedOut) == want || c.has(isEnding|isDetached) {
		return
	}
	c.flags = c.flags&^(isArmedIn|isArmedOut) | want
	if err := l.ctl(unix.EPOLL_CTL_MOD, c.fd, armed(want), h.Slot(), c.gen); err != nil {
		l.end(h, c, err)
	}
}

func armed(flags uint16) (ev uint32) {
	if flags&isArmedIn != 0 {
		ev |= unix.EPOLLIN
	}
	if flags&isArmedOut != 0 {
		ev |= unix.EPOLLOUT
	}
	return ev
}

func (l *Loop) ctl(op int, fd int32, events, slot, gen uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(slot), Pad: int32(gen)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(l.ep, op, int(fd), &ev))
}

// reserve opens the spare descriptor if it is not there.
func (l *Loop) reserve() error {
	if l.spare < 0 {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC) // needs no file: a bare root has none
		if err != nil {
			return err
		}
		l.spare = fd
	}
	return nil
}

// shut closes what the loop itself has open. Connections are gone by then.
func (l *Loop) shut() {
	l.ended.Store(true)
	for l.wakers.Load() != 0 {
		runtime.Gosched() // a Wake is between its check and its write
	}
	var errs []error
	if l.thread != nil {
		l.wakeFD = -1 // the set's
	}
	for _, fd := range []*int{&l.ep, &l.wakeFD, &l.spare} {
		if *fd >= 0 {
			errs = append(errs, unix.Close(*fd))
			*fd = -1
		}
	}
	for _, ln := range l.listeners {
		errs = append(errs, unix.Close(int(ln.fd)))
	}
	l.listeners = nil
	if err := errors.Join(errs...); err != nil {
		panic("netpoll: closing a descriptor of a loop: " + err.Error()) // someone else closed it: EBADF
	}
}
