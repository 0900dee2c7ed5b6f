package viewer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"eyrie/bench/workload"
	"eyrie/engine/wire"

	"golang.org/x/sys/unix"
)

const (
	connectingMax = 64                    // handshakes under way at once
	retryAfter    = 20 * time.Millisecond // before a connection that failed is tried again
	triesMax      = 100
)

// loop is the child's one thread: all viewers, all state.
type loop struct {
	job    Job
	addr   unix.SockaddrInet4
	out    io.Writer
	orders chan order
	ep     int
	event  int // eventfd: an order waits

	conns  []*conn // by index from job.From
	byFd   []*conn
	want   int // viewers to hold
	busy   int // connecting, or not yet subscribed
	ready  int
	retry  []*conn
	asked  bool // an open order waits for its answer
	framer *workload.Framer
	read   []byte

	res      Result
	counting bool
	from, to int64 // Unix µs that the measurement covers; to is 0 while it goes on
	used     int64 // CPU of the process at its beginning
}

func newLoop(job Job, out io.Writer) (*loop, error) {
	ap, err := netip.ParseAddrPort(job.Addr)
	if err != nil || !ap.Addr().Is4() {
		return nil, fmt.Errorf("%q is not an IPv4 address and port", job.Addr)
	}
	if len(job.Kinds) == 0 || job.To < job.From {
		return nil, errors.New("no viewers are asked for")
	}
	for _, k := range job.Kinds {
		for _, w := range k {
			if w.Credits < 2 {
				return nil, fmt.Errorf("credits: got %d, want 2 or more", w.Credits)
			}
		}
	}
	l := &loop{
		job: job, out: out, orders: make(chan order, 16), addr: unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()},
		conns: make([]*conn, job.To-job.From), read: make([]byte, 1<<20), framer: workload.NewFramer(wire.JSON, uint64(job.From)+1),
	}
	if l.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	if l.event, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		unix.Close(l.ep)
		return nil, err
	}
	if err := unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, l.event, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(l.event)}); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *loop) close() {
	for _, c := range l.conns {
		if c != nil && c.fd >= 0 {
			unix.Close(c.fd)
		}
	}
	unix.Close(l.event)
	unix.Close(l.ep)
}

func (l *loop) wake() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(l.event, one[:])
}

// run works until the orders end.
func (l *loop) run() error {
	events := make([]unix.EpollEvent, 256)
	for {
		wait := -1
		if len(l.retry) > 0 {
			wait = int(retryAfter / time.Millisecond)
		}
		n, err := unix.EpollWait(l.ep, events, wait)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		for i := range max(n, 0) {
			e := &events[i]
			if fd := int(e.Fd); fd == l.event {
				var b [8]byte
				_, _ = unix.Read(fd, b[:])
				if ended := l.obey(); ended {
					return nil
				}
			} else if c := l.byFd[fd]; c != nil {
				l.handle(c, e.Events)
			}
		}
		l.connectMore()
		if l.asked && (l.ready >= l.want || l.res.Closed > 0) {
			l.asked = false
			var a answer
			if l.ready < l.want {
				a.Error = fmt.Sprintf("%d viewers cannot be held: %v", l.res.Closed, l.res.Errors)
			}
			l.say(a)
		}
	}
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
				l.conns[i] = l.newConn(l.job.From + i)
				l.retry = append(l.retry, l.conns[i])
			}
		}
		return // answered when they are there
	case doBegin:
		l.res = Result{Closed: l.res.Closed}
		l.counting, l.from, l.to, l.used = true, time.Now().UnixMicro(), 0, cpu()
		l.say(answer{})
	case doEnd:
		l.counting, l.to = false, time.Now().UnixMicro()
		l.res.CPU = cpu() - l.used
		l.say(answer{})
	case doLook:
		l.say(answer{Seen: l.seen()})
	case doResult:
		l.say(answer{Result: &l.res})
	}
}

// seen is the newest of the probe's events that every viewer which watches it
// has seen.
func (l *loop) seen() uint64 {
	least := ^uint64(0)
	for _, c := range l.conns {
		if c == nil {
			continue
		}
		for i := range c.subs {
			if s := &c.subs[i]; s.watch.Marks {
				least = min(least, s.mark)
			}
		}
	}
	return least
}

func (l *loop) say(a answer) { _, _ = l.out.Write(line(a)) }

// cpu is what this process has used so far, in ns.
func cpu() int64 {
	var r unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return r.Utime.Nano() + r.Stime.Nano()
}

// connectMore starts the connections that wait for their turn.
func (l *loop) connectMore() {
	keep := l.retry[:0]
	for _, c := range l.retry {
		if l.busy >= connectingMax || time.Now().Before(c.retryAt) {
			keep = append(keep, c)
			continue
		}
		if err := l.connect(c); err != nil {
			if c.tries++; c.tries > triesMax {
				l.res.fault(fmt.Sprintf("viewer %d: %v", c.idx, err))
				l.res.Closed++
				continue
			}
			c.retryAt = time.Now().Add(retryAfter)
			keep = append(keep, c)
		}
	}
	clear(l.retry[len(keep):])
	l.retry = keep
}
