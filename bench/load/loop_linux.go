package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"eyrie/bench/ledger"
	"eyrie/bench/workload"
	"eyrie/engine/wire"

	"golang.org/x/sys/unix"
)

const (
	connectingMax = 64                     // handshakes under way at once, unless the job says more
	retryAfter    = 20 * time.Millisecond  // before a lost link is tried again
	handshakeMax  = 30 * time.Second       // for one link
	progressEvery = 500 * time.Millisecond // between two words to the parent
	flightMax     = 4096                   // frames not acknowledged on one link, open-loop
)

// loop is the child's one thread: all links, all state.
type loop struct {
	job    Job
	maker  *workload.Maker
	codec  wire.Codec
	addr   unix.SockaddrInet4
	out    io.Writer
	orders chan order
	ep     int
	event  int // eventfd: an order waits
	timer  int // timerfd: frames are due

	conns  []*conn // by index from job.From
	byFd   []*conn
	want   int // links to hold
	busy   int // connecting, or not yet touched
	ready  int
	retry  []*conn
	asked  bool // an open order waits for its answer
	framer *workload.Framer
	began  time.Time

	running  bool
	stopping bool
	window   int
	interval float64 // ns between two frames over all links; 0 = closed loop
	start    time.Duration
	next     uint64 // frame of the schedule
	flying   int    // frames not acknowledged
	away     int    // links that are waited for: see storm_linux.go
	waited   bool   // an order to wait for them has no answer yet
	res      Result
	looked   Result // as it was at the last look
	told     time.Duration

	ledger  *ledger.Writer
	scratch []byte
	read    []byte
}

func newLoop(job Job, out io.Writer) (*loop, error) {
	maker, err := workload.NewMaker(job.Shape)
	if err != nil {
		return nil, err
	}
	ap, err := netip.ParseAddrPort(job.Addr)
	if err != nil || !ap.Addr().Is4() {
		return nil, fmt.Errorf("%q is not an IPv4 address and port", job.Addr)
	}
	l := &loop{
		job: job, maker: maker, out: out, orders: make(chan order, 16), addr: unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()},
		conns: make([]*conn, job.To-job.From), read: make([]byte, 256<<10), began: time.Now(),
	}
	l.codec = job.Codec
	if l.job.Source == 0 {
		l.job.Source = 2
	}
	if l.job.Handshakes == 0 {
		l.job.Handshakes = connectingMax
	}
	l.framer = workload.NewFramer(l.codec, job.Shape.Seed+uint64(job.From))
	if l.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	if l.event, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, err
	}
	if l.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return nil, err
	}
	for _, fd := range []int{l.event, l.timer} {
		if err := unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
			return nil, err
		}
	}
	if job.Ledger != "" {
		if l.ledger, err = ledger.Create(job.Ledger); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// now is the time since the child began, monotonic.
func (l *loop) now() time.Duration { return time.Since(l.began) }

func (l *loop) wake() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(l.event, one[:])
}

// run works until the orders end.
func (l *loop) run() error {
	events := make([]unix.EpollEvent, 1024)
	for {
		n, err := unix.EpollWait(l.ep, events, l.timeout())
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		for i := range max(n, 0) {
			e := &events[i]
			switch fd := int(e.Fd); fd {
			case l.event:
				var b [8]byte
				_, _ = unix.Read(fd, b[:])
				if ended := l.obey(); ended {
					return l.close()
				}
			case l.timer:
				var b [8]byte
				_, _ = unix.Read(fd, b[:])
			default:
				if c := l.byFd[fd]; c != nil {
					l.handle(c, e.Events)
				}
			}
		}
		l.connectMore()
		if l.running && l.interval > 0 {
			l.due()
		}
		l.report()
	}
}

// timeout is how long the loop may sleep, in ms.
func (l *loop) timeout() int {
	switch {
	case len(l.retry) > 0:
		return 5
	case l.running || l.stopping:
		return int(progressEvery / time.Millisecond)
	}
	return -1
}

// obey takes the orders that wait; true when there will be no more.
func (l *loop) obey() bool {
	for {
		select {
		case o, ok := <-l.orders:
			if !ok {
				return true
			}
			l.take(o)
		default:
			return false
		}
	}
}

func (l *loop) take(o order) {
	switch o.Do {
	case doOpen:
		l.want, l.asked = min(o.To, len(l.conns)), true
		for i := range l.want {
			if l.conns[i] == nil {
				c := &conn{idx: l.job.From + i, fd: -1}
				l.conns[i] = c
				l.retry = append(l.retry, c)
			}
		}
	case doRun:
		l.res, l.looked = Result{}, Result{}
		l.running, l.stopping = true, false
		l.window = max(o.Window, 1)
		l.start, l.next, l.interval = l.now(), 0, 0
		if o.Rate > 0 {
			l.interval = 1e9 * float64(l.job.Shape.Frame) / o.Rate
			return
		}
		for _, c := range l.conns[:l.want] {
			l.fill(c)
		}
	case doLook:
		l.say(answer{Says: saysLooked, Result: l.res.since(&l.looked)})
		l.looked = l.res
	case doWait, doCut:
		l.wait(o.Do == doCut)
	case doStop:
		l.running, l.stopping = false, true
		l.arm(0)
	}
}

// connectMore starts the connections that wait for their turn.
func (l *loop) connectMore() {
	now := l.now()
	keep := l.retry[:0]
	for _, c := range l.retry {
		if l.busy >= l.job.Handshakes || now < c.retryAt {
			keep = append(keep, c)
			continue
		}
		if err := l.connect(c); err != nil {
			c.retryAt = now + retryAfter
			c.tries++
			if !l.job.Reconnect && c.tries > int(handshakeMax/retryAfter) {
				l.res.fault(fmt.Sprintf("connection %d: %v", c.idx, err))
				l.res.Closed++
				continue
			}
			keep = append(keep, c)
		}
	}
	clear(l.retry[len(keep):])
	l.retry = keep
}

// due sends the frames whose time has come. A link that is too far behind holds
// the schedule up; its frames keep the time at which they were due.
func (l *loop) due() {
	for {
		at := l.start + time.Duration(float64(l.next)*l.interval)
		wait := at - l.now()
		if wait > 0 {
			l.arm(wait)
			return
		}
		c := l.conns[int(l.next%uint64(l.want))]
		if c.enc != nil {
			l.offer(c, at)
			l.res.Offered += uint64(l.job.Shape.Frame)
			l.next++
			continue
		}
		if len(c.flight)-c.head >= flightMax {
			l.res.Deferred++
			l.arm(time.Millisecond)
			return
		}
		l.send(c, at)
		l.next++
	}
}

// arm sets the timer; 0 disarms it.
func (l *loop) arm(d time.Duration) {
	ts := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}
	_ = unix.TimerfdSettime(l.timer, 0, &ts, nil)
}

// report answers what has come to pass.
func (l *loop) report() {
	if l.asked && l.ready >= l.want {
		l.asked = false
		l.say(answer{Says: saysOpen})
	} else if l.asked && l.res.Closed > 0 {
		l.asked = false
		l.say(answer{Says: saysFailed, Error: fmt.Sprintf("%d links cannot be held: %v", l.res.Closed, l.res.Errors)})
	}
	if l.waited && l.away == 0 {
		l.waited = false
		l.say(answer{Says: saysBack, Result: &Result{Welcome: l.res.Welcome, Caught: l.res.Caught}})
	}
	if l.stopping && l.flying == 0 {
		l.stopping = false
		if l.ledger != nil {
			if err := l.ledger.Flush(); err != nil {
				l.res.fault("ledger: " + err.Error())
			}
		}
		l.res.Books = l.books()
		l.say(answer{Says: saysStopped, Result: &l.res})
		return
	}
	if now := l.now(); l.running && now-l.told >= progressEvery {
		l.told = now
		l.say(answer{Says: saysProgress, Result: &Result{Events: l.res.Events, Shed: l.res.Shed, Nacked: l.res.Nacked}})
	}
}

func (l *loop) say(a answer) { _, _ = l.out.Write(line(a)) }

func (l *loop) close() error {
	if l.ledger == nil {
		return nil
	}
	return l.ledger.Close()
}
