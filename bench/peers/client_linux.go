package peers

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Job is the first line a client process reads.
type Job struct {
	Addr     string
	Core     int // to run on; negative for any
	Workload Workload
}

// Order is each further line: load for so long.
type Order struct{ For time.Duration }

// Done answers the job, when every connection is up, and each order.
type Done struct {
	Messages uint64
	Error    string
}

// ServeClient is the life of a client process: one thread, one epoll, frames
// masked in advance, system calls of its own. It ends with its input.
func ServeClient(in io.Reader, out io.Writer) error {
	runtime.LockOSThread()
	dec, enc := json.NewDecoder(bufio.NewReader(in)), json.NewEncoder(out)
	var job Job
	if err := dec.Decode(&job); err != nil {
		return err
	}
	c, err := dialAll(&job)
	for {
		done := Done{}
		if c != nil {
			done.Messages = c.messages
		}
		if err != nil {
			done.Error = err.Error()
		}
		if e := enc.Encode(&done); e != nil || err != nil {
			return e
		}
		var o Order
		if e := dec.Decode(&o); e != nil {
			if errors.Is(e, io.EOF) {
				return nil
			}
			return e
		}
		c.messages = 0
		err = c.run(o.For)
	}
}

// client is all connections of one workload.
type client struct {
	w               *Workload
	ep              int
	conns           []clientConn
	request, answer []byte
	buf             []byte
	events          []unix.EpollEvent
	messages        uint64
}

type clientConn struct {
	fd   int32
	left int // bytes of the burst still to be sent, or of its answer to be read
	over bool
}

func dialAll(job *Job) (*client, error) {
	if job.Core >= 0 {
		var set unix.CPUSet
		set.Set(job.Core)
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			return nil, fmt.Errorf("pin to core %d: %w", job.Core, err)
		}
	}
	c := &client{w: &job.Workload, buf: make([]byte, 256<<10), events: make([]unix.EpollEvent, 256)}
	c.request, c.answer = burst(c.w)
	var err error
	if c.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	for range c.w.Conns {
		fd, err := dial(job.Addr, c.w.Path)
		if err != nil {
			return nil, err
		}
		if c.w.Echo() {
			err = c.check(fd)
		}
		if err == nil {
			err = unix.SetNonblock(fd, true)
		}
		interest := uint32(unix.EPOLLIN)
		if !c.w.Echo() {
			interest = unix.EPOLLOUT
		}
		if err == nil {
			err = unix.EpollCtl(c.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: interest, Fd: int32(len(c.conns))})
		}
		if err != nil {
			return nil, err
		}
		c.conns = append(c.conns, clientConn{fd: int32(fd)})
	}
	return c, nil
}

// dial opens a connection and upgrades it, waiting.
func dial(addr, path string) (int, error) {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	wait := unix.NsecToTimeval(int64(10 * time.Second))
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait),
		unix.Connect(fd, &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}))
	if err != nil {
		return -1, err
	}
	head := "GET " + path + " HTTP/1.1\r\nHost: " + addr + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	if _, err := unix.Write(fd, []byte(head)); err != nil {
		return -1, err
	}
	var got []byte
	for !bytes.HasSuffix(got, []byte("\r\n\r\n")) { // nothing follows: we have sent nothing yet
		b := make([]byte, 4096)
		n, err := unix.Read(fd, b)
		if err != nil || n == 0 {
			return -1, fmt.Errorf("upgrade of %s: %w after %q", path, err, got)
		}
		got = append(got, b[:n]...)
	}
	if !bytes.HasPrefix(got, []byte("HTTP/1.1 101 ")) {
		return -1, fmt.Errorf("upgrade of %s: %q", path, got)
	}
	return fd, nil
}

// check has one burst echoed and compares every byte: what is not echoed right
// is not measured.
func (c *client) check(fd int) error {
	if n, err := unix.Write(fd, c.request); err != nil || n < len(c.request) {
		return fmt.Errorf("sent %d of %d bytes: %w", n, len(c.request), err)
	}
	got := make([]byte, len(c.answer))
	for at := 0; at < len(got); {
		n, err := unix.Read(fd, got[at:])
		if err != nil || n == 0 {
			return fmt.Errorf("%d of %d bytes came back: %w", at, len(got), err)
		}
		at += n
	}
	if !bytes.Equal(got, c.answer) {
		return errors.New("what came back is not what was sent")
	}
	return nil
}

// run loads the server and returns when it has handled everything sent.
func (c *client) run(d time.Duration) error {
	until := time.Now().Add(d)
	if c.w.Echo() {
		return c.runEcho(until)
	}
	return c.runSink(until)
}

func (c *client) runEcho(until time.Time) error {
	for i := range c.conns {
		if err := c.sendBurst(&c.conns[i]); err != nil {
			return err
		}
	}
	for flying, on := len(c.conns), true; flying > 0; {
		n, err := unix.EpollWait(c.ep, c.events, 5000)
		if err != nil && err != unix.EINTR || n == 0 {
			return fmt.Errorf("%d echoes did not come: %w", flying, err)
		}
		if on {
			on = time.Now().Before(until)
		}
		for i := range max(n, 0) {
			k := &c.conns[c.events[i].Fd]
			got, e := rawRecv(k.fd, c.buf)
			if e == unix.EAGAIN {
				continue
			}
			if e != 0 || got == 0 || got > k.left {
				return fmt.Errorf("read %d of %d bytes: %v", got, k.left, e)
			}
			if k.left -= got; k.left > 0 {
				continue
			}
			c.messages += uint64(c.w.Burst)
			if !on {
				flying--
				continue
			}
			if err := c.sendBurst(k); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *client) sendBurst(k *clientConn) error {
	k.left = len(c.answer)
	if n, e := rawSend(k.fd, c.request); e != 0 || n < len(c.request) {
		return fmt.Errorf("sent %d of %d bytes: %v", n, len(c.request), e)
	}
	return nil
}

// pingFrame is an empty ping; pongBytes is the length of its answer.
var pingFrame = []byte{0x89, 0x80, 0, 0, 0, 0}

const pongBytes = 2

func (c *client) runSink(until time.Time) error {
	for i := range c.conns {
		c.conns[i] = clientConn{fd: c.conns[i].fd, left: len(c.request)}
		if err := c.interest(i, unix.EPOLLOUT); err != nil {
			return err
		}
	}
	for flying, on := len(c.conns), true; flying > 0; {
		n, err := unix.EpollWait(c.ep, c.events, 5000)
		if err != nil && err != unix.EINTR || n == 0 {
			return fmt.Errorf("%d connections stand still: %w", flying, err)
		}
		if on {
			on = time.Now().Before(until)
		}
		for i := range max(n, 0) {
			at := int(c.events[i].Fd)
			k := &c.conns[at]
			if k.over {
				if got, e := rawRecv(k.fd, c.buf); e != 0 || got != pongBytes {
					return fmt.Errorf("instead of a pong: %d bytes, %v", got, e)
				}
				flying--
				if err := c.interest(at, 0); err != nil {
					return err
				}
				continue
			}
			sent, e := rawSend(k.fd, c.request[len(c.request)-k.left:])
			if e == unix.EAGAIN {
				continue
			}
			if e != 0 {
				return e
			}
			if k.left -= sent; k.left > 0 {
				continue
			}
			k.left = len(c.request)
			c.messages += uint64(c.w.Burst)
			if on {
				continue
			}
			// The pong says that everything before it was handled.
			if n, e := rawSend(k.fd, pingFrame); n != len(pingFrame) {
				if e == unix.EAGAIN {
					continue // one burst more, then again
				}
				return fmt.Errorf("sent %d bytes of a ping: %v", n, e)
			}
			k.over = true
			if err := c.interest(at, unix.EPOLLIN); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *client) interest(i int, events uint32) error {
	return unix.EpollCtl(c.ep, unix.EPOLL_CTL_MOD, int(c.conns[i].fd), &unix.EpollEvent{Events: events, Fd: int32(i)})
}

func rawRecv(fd int32, b []byte) (int, unix.Errno) {
	n, _, e := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, 0, 0)
	return int(n), e
}

func rawSend(fd int32, b []byte) (int, unix.Errno) {
	n, _, e := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
	return int(n), e
}
