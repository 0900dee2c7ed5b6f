package peers

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// ServeBare is bare/bare.c in Go: one epoll loop on a locked thread that does
// as little as possible for /echo and /sink. It returns only with an error.
func ServeBare(port int) error {
	runtime.LockOSThread()
	// The thread that waits in epoll holds on to its P meanwhile: leave one
	// for the runtime, else it takes that of the loop, again and again.
	runtime.GOMAXPROCS(2)
	ln, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	_ = unix.SetsockoptInt(ln, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err := unix.Bind(ln, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	if err := unix.Listen(ln, 1024); err != nil {
		return err
	}
	b := &bare{ln: ln, buf: make([]byte, 512<<10), out: make([]byte, 0, 1<<20), conns: map[int]*bareConn{}}
	if b.ep, err = unix.EpollCreate1(0); err != nil {
		return err
	}
	if err := unix.EpollCtl(b.ep, unix.EPOLL_CTL_ADD, ln, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(ln)}); err != nil {
		return err
	}
	events := make([]unix.EpollEvent, 1024)
	for {
		n, err := unix.EpollWait(b.ep, events, -1)
		if err != nil && err != unix.EINTR {
			return err
		}
		for i := range max(n, 0) {
			if fd := int(events[i].Fd); fd == ln {
				b.accept()
			} else if !b.readable(fd, b.conns[fd]) {
				_ = unix.Close(fd)
				delete(b.conns, fd)
			}
		}
	}
}

type bare struct {
	ep, ln   int
	buf, out []byte
	conns    map[int]*bareConn
}

type bareConn struct {
	up, sink bool
	rest     []byte
}

func (b *bare) accept() {
	fd, _, err := unix.Accept4(b.ln, unix.SOCK_NONBLOCK)
	if err != nil {
		return
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	b.conns[fd] = &bareConn{}
	_ = unix.EpollCtl(b.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

func (b *bare) readable(fd int, c *bareConn) bool {
	kept := copy(b.buf, c.rest)
	n, e := rawRecv(int32(fd), b.buf[kept:])
	if e == unix.EAGAIN {
		return true
	}
	if e != 0 || n == 0 {
		return false
	}
	p := b.buf[:kept+n]
	b.out = b.out[:0]
	if !c.up {
		b.upgrade(c, p)
		p = nil
	}
	for {
		n := b.frame(c, p)
		if n == 0 {
			break
		}
		p = p[n:]
	}
	c.rest = append(c.rest[:0], p...)
	for o := b.out; len(o) > 0; {
		n, e := rawSend(int32(fd), o)
		if e != 0 && e != unix.EAGAIN {
			return false
		}
		if e == 0 {
			o = o[n:]
		}
	}
	return true
}

func (b *bare) upgrade(c *bareConn, p []byte) {
	_, after, _ := bytes.Cut(p, []byte("Sec-WebSocket-Key: "))
	sum := sha1.Sum(append(bytes.Clone(after[:min(24, len(after))]), "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"...))
	c.up, c.sink = true, bytes.HasPrefix(p, []byte("GET /sink "))
	b.out = fmt.Appendf(b.out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(sum[:]))
}

// frame handles the first frame of p and returns its length, 0 if it is not
// whole.
func (b *bare) frame(c *bareConn, p []byte) int {
	if len(p) < 6 {
		return 0
	}
	size, at := int(p[1]&127), 2
	if size == 126 {
		size, at = int(binary.BigEndian.Uint16(p[2:])), 4
	}
	if len(p) < at+4+size {
		return 0
	}
	mask := uint64(binary.LittleEndian.Uint32(p[at:]))
	mask |= mask << 32
	body := p[at+4 : at+4+size]
	i := 0
	for ; i+8 <= len(body); i += 8 {
		binary.LittleEndian.PutUint64(body[i:], binary.LittleEndian.Uint64(body[i:])^mask)
	}
	for ; i < len(body); i++ {
		body[i] ^= byte(mask >> (i & 7 * 8))
	}
	op := p[0] & 15
	if op == 9 {
		op = 10
	} else if c.sink {
		return at + 4 + size
	}
	b.out = append(b.out, 0x80|op)
	if size < 126 {
		b.out = append(b.out, byte(size))
	} else {
		b.out = append(b.out, 126, byte(size>>8), byte(size))
	}
	b.out = append(b.out, body...)
	return at + 4 + size
}
