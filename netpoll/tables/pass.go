//go:build linux

package tables

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// post carries descriptors from the threads' tables to the process' own: one
// socket that all threads send on, one goroutine that receives.
type post struct {
	in    int // in the process' own table, until listen
	out   int // in every table of the set, not in the process' own once all have it
	conn  *net.UnixConn
	done  chan struct{}
	given bool // out is closed here

	mu     sync.Mutex
	last   uint64
	takers map[uint64]func(fd int, err error)
	closed bool
}

func newPost() (*post, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("tables: socketpair: %w", err)
	}
	return &post{in: pair[0], out: pair[1], done: make(chan struct{}), takers: make(map[uint64]func(int, error))}, nil
}

// listen starts receiving. The sending end is the threads' alone from now on.
func (p *post) listen() error {
	_ = unix.Close(p.out)
	p.given = true
	f := os.NewFile(uintptr(p.in), "tables")
	defer f.Close()
	p.in = -1
	c, err := net.FileConn(f)
	if err != nil {
		return fmt.Errorf("tables: socketpair: %w", err)
	}
	p.conn = c.(*net.UnixConn)
	go p.receive()
	return nil
}

func (p *post) receive() {
	defer close(p.done)
	var id [8]byte
	oob := make([]byte, unix.CmsgSpace(4))
	for {
		n, on, _, _, err := p.conn.ReadMsgUnix(id[:], oob)
		if err != nil || n != len(id) {
			return // closed, or every thread has ended
		}
		fd := -1
		if ms, err := unix.ParseSocketControlMessage(oob[:on]); err == nil && len(ms) == 1 {
			if fds, err := unix.ParseUnixRights(&ms[0]); err == nil && len(fds) == 1 {
				fd = fds[0]
			}
		}
		take := p.taker(binary.NativeEndian.Uint64(id[:]))
		if fd < 0 {
			go take(-1, ErrLost)
			continue
		}
		go take(fd, nil)
	}
}

func (p *post) taker(id uint64) func(int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	take := p.takers[id]
	delete(p.takers, id)
	return take
}

func (p *post) close() {
	if p.conn == nil { // Open has failed
		if p.in >= 0 {
			_ = unix.Close(p.in)
		}
		if !p.given {
			_ = unix.Close(p.out)
		}
		return
	}
	_ = p.conn.Close()
	<-p.done
	p.mu.Lock()
	left := p.takers
	p.takers, p.closed = nil, true
	p.mu.Unlock()
	for _, take := range left {
		take(-1, ErrClosed)
	}
}

// Pass hands fd of this thread's table to the process' own, where take is
// called on a goroutine of its own with its number there; the thread's fd is
// closed. On error, ErrBusy among them, nothing has happened and take is not
// called. Only on the thread.
func (t *Thread) Pass(fd int, take func(fd int, err error)) error {
	p := t.post
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return ErrClosed
	}
	p.last++
	n := p.last
	p.takers[n] = take
	p.mu.Unlock()
	var id [8]byte
	binary.NativeEndian.PutUint64(id[:], n)
	for {
		err := unix.Sendmsg(p.out, id[:], unix.UnixRights(fd), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ETOOMANYREFS) || errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM):
			p.taker(n)
			return ErrBusy
		case err != nil:
			p.taker(n)
			return fmt.Errorf("tables: passing a descriptor: %w", err)
		}
		_ = unix.Close(fd)
		return nil
	}
}
