package links

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"eyrie/bench/workload"

	"golang.org/x/sys/unix"
)

// Handler is what a loop's links are for. The loop's thread calls it. It may drop any
// link while it is called.
type Handler interface {
	// Upgraded is told when messages may be put.
	Upgraded(*Link)
	// Message gets each whole message; p is the loop's, until it returns.
	Message(c *Link, p []byte)
	// Read is told of each read of n bytes, before what is in it is told.
	Read(n int)
	// Written is told when the kernel has taken all that had to wait.
	Written(*Link)
	// Lost is told why a connection ended, or why none can be made. It comes back
	// if it is opened again.
	Lost(c *Link, why string)
	// Turn is called after everything that came in has been told. It returns how long
	// the loop may sleep, negative without end.
	Turn() time.Duration
}

// Config says whom a loop's links connect to, and how.
type Config struct {
	Addr       string // IPv4 address and port
	Path       string // of the upgrade
	Protocol   string
	Key        string
	Source     [4]byte // the first of Sources loopback addresses to connect from
	Sources    int
	Handshakes int // under way at once; 0 is 64
	Tries      int // to connect, 20 ms apart, before a link is lost
	ReadBytes  int // at once; no message may be longer
	SendBuffer int // of the kernel for each link, in bytes; 0 is its choice
}

const (
	handshakes = 64
	retryAfter = 20 * time.Millisecond // before a connection that failed is tried again
	lookAgain  = 5 * time.Millisecond  // whether a link that waits to connect may
)

// Loop is all links of one thread.
type Loop struct {
	Framer *workload.Framer
	Sent   uint64 // bytes of messages put so far, with WebSocket headers

	cfg     Config
	addr    unix.SockaddrInet4
	handler Handler
	orders  chan func()
	ep      int
	event   int // eventfd: an order waits
	timer   int // timerfd: see Arm
	byFd    []*Link
	busy    int     // handshakes under way
	waiting []*Link // to connect
	began   time.Time
	read    []byte
}

// New makes a loop.
func New(cfg Config, f *workload.Framer) (*Loop, error) {
	ap, err := netip.ParseAddrPort(cfg.Addr)
	if err != nil || !ap.Addr().Is4() {
		return nil, fmt.Errorf("%q is not an IPv4 address and port", cfg.Addr)
	}
	if cfg.Handshakes == 0 {
		cfg.Handshakes = handshakes
	}
	l := &Loop{
		Framer: f, cfg: cfg, addr: unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()},
		orders: make(chan func(), 16), ep: -1, event: -1, timer: -1, began: time.Now(), read: make([]byte, cfg.ReadBytes),
	}
	if l.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err == nil {
		l.event, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	}
	if err == nil {
		l.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	}
	for _, fd := range []int{l.event, l.timer} {
		if err == nil {
			err = unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
		}
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// Close closes all links, and tells nobody.
func (l *Loop) Close() {
	for _, c := range l.byFd {
		if c != nil {
			unix.Close(c.fd)
		}
	}
	for _, fd := range []int{l.timer, l.event, l.ep} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// Now is the time since the loop was made, monotonic.
func (l *Loop) Now() time.Duration { return time.Since(l.began) }

// Open has a link that is not there connect once after has passed and its turn has come.
func (l *Loop) Open(c *Link, after time.Duration) {
	c.due = 0
	if after > 0 {
		c.due = l.Now() + after
	}
	l.waiting = append(l.waiting, c)
}

// Post has the loop's thread call fn. Any goroutine may call it.
func (l *Loop) Post(fn func()) {
	l.orders <- fn
	l.wake()
}

// end ends the loop when what was posted is done.
func (l *Loop) end() {
	close(l.orders)
	l.wake()
}

func (l *Loop) wake() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(l.event, one[:])
}

// Arm has Turn called once d has passed, more exactly than by sleeping; 0 disarms it.
func (l *Loop) Arm(d time.Duration) {
	ts := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}
	_ = unix.TimerfdSettime(l.timer, 0, &ts, nil)
}

// run works until it is ended.
func (l *Loop) run(h Handler) error {
	l.handler = h
	events := make([]unix.EpollEvent, 1024)
	for sleep := time.Duration(-1); ; {
		n, err := unix.EpollWait(l.ep, events, l.timeout(sleep))
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
					return nil
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
		sleep = h.Turn()
	}
}

// timeout is how long the loop may sleep, in ms.
func (l *Loop) timeout(sleep time.Duration) int {
	switch {
	case len(l.waiting) > 0:
		return int(lookAgain / time.Millisecond)
	case sleep < 0:
		return -1
	}
	return int(sleep / time.Millisecond)
}

// obey does what was posted; true when there will be no more.
func (l *Loop) obey() bool {
	for {
		select {
		case fn, ok := <-l.orders:
			if !ok {
				return true
			}
			fn()
		default:
			return false
		}
	}
}

// connectMore starts the connections that wait for their turn.
func (l *Loop) connectMore() {
	if len(l.waiting) == 0 {
		return
	}
	now := l.Now()
	all := l.waiting
	l.waiting = nil // a link that is lost may come back meanwhile
	keep := all[:0]
	for _, c := range all {
		if l.busy >= l.cfg.Handshakes || now < c.due {
			keep = append(keep, c)
			continue
		}
		if err := l.connect(c); err != nil {
			c.due = now + retryAfter
			if c.Tries++; c.Tries > l.cfg.Tries {
				l.handler.Lost(c, err.Error())
				continue
			}
			keep = append(keep, c)
		}
	}
	clear(all[len(keep):])
	l.waiting = append(keep, l.waiting...)
}
