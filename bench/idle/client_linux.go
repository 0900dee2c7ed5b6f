package idle

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"

	"eyrie/bench/child"
	"eyrie/bench/workload"
	"eyrie/engine"
	"eyrie/engine/wire"
	"eyrie/netpoll/tables"

	"golang.org/x/sys/unix"
)

// linksAPort is how many links come from one loopback address: fewer than the
// system has ports for.
const linksAPort = 20_000

// ServeClient is the client process' life; its links end with in.
func ServeClient(in io.Reader, out io.Writer) error {
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	var job ClientJob
	if err := dec.Decode(&job); err != nil {
		return err
	}
	child.RaiseDescriptors()
	set, err := tables.Open(job.Threads)
	if err != nil {
		_ = enc.Encode(ClientSays{Error: err.Error()})
		return err
	}
	defer set.Close()
	at, err := netip.ParseAddrPort(job.Addr)
	if err != nil {
		return err
	}
	open := 0
	for {
		var o ClientOrder
		if err := dec.Decode(&o); err != nil {
			return nil // the parent is done
		}
		var said ClientSays
		if err := grow(set, at, open, o.To); err != nil {
			said.Error = err.Error()
		} else {
			open = o.To
		}
		said.Open = open
		if err := enc.Encode(said); err != nil {
			return err
		}
	}
}

// grow opens links from up to to, the threads side by side. A link stays open
// in its thread's table; nothing more is known of it.
func grow(set *tables.Set, at netip.AddrPort, from, to int) error {
	var next atomic.Int64
	next.Store(int64(from))
	errs := make([]error, set.Len())
	var all sync.WaitGroup
	for i := range set.Len() {
		all.Add(1)
		share := (to-from)*(i+1)/set.Len() - (to-from)*i/set.Len()
		set.Thread(i).Go(func() {
			defer all.Done()
			buf := make([]byte, 4096)
			for range share {
				n := int(next.Add(1) - 1)
				if err := link(at, n, buf); err != nil {
					errs[i] = fmt.Errorf("link %d: %w", n, err)
					return
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// link opens link n: connects, upgrades, says hello, has one event acknowledged.
func link(at netip.AddrPort, n int, buf []byte) (err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return err
	}
	k := n / linksAPort
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, byte(1 + k/200), byte(2 + k%200)}}); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	c := bare(fd)
	if _, err := c.Write(upgrade); err != nil {
		return err
	}
	m, err := c.Read(buf)
	if err != nil || !bytes.HasPrefix(buf[:m], []byte("HTTP/1.1 101")) {
		return fmt.Errorf("upgrade: %q, %w", buf[:max(m, 0)], err)
	}
	f := workload.NewFramer(wire.MsgPack, uint64(n))
	id := fmt.Sprintf("agent-%07d", n)
	var producer [16]byte
	binary.BigEndian.PutUint64(producer[8:], uint64(n)+1)
	hello := wire.AppendHello(nil, wire.MsgPack, &wire.HelloOut{Producer: producer, Epoch: 1, First: 1, Agent: &wire.Event{Agent: id}})
	event := wire.AppendValue(nil, map[string]any{"type": "log", "msg": "here"})
	for _, msg := range [][]byte{hello, wire.AppendEvents(nil, wire.MsgPack, 1, nil, event)} {
		if _, err := c.Write(f.Frame(nil, msg)); err != nil {
			return err
		}
		if err := readFrame(c, buf); err != nil { // the welcome, the ack
			return err
		}
	}
	return nil
}

var upgrade = []byte("GET " + engine.AgentPath + " HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: " + wire.SubprotocolMsgPack + "\r\n\r\n")

// readFrame reads one short frame of the server.
func readFrame(c bare, buf []byte) error {
	if _, err := io.ReadFull(c, buf[:2]); err != nil {
		return err
	}
	n := int(buf[1])
	if n == 126 {
		if _, err := io.ReadFull(c, buf[:2]); err != nil {
			return err
		}
		n = int(binary.BigEndian.Uint16(buf))
	}
	if n > len(buf) {
		return fmt.Errorf("a frame of %d bytes", n)
	}
	_, err := io.ReadFull(c, buf[:n])
	return err
}

// bare is a blocking descriptor of the calling thread's table.
type bare int

// Read implements io.Reader.
func (c bare) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(int(c), p)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// Write writes all of p.
func (c bare) Write(p []byte) (int, error) {
	for at := 0; at < len(p); {
		n, err := unix.Write(int(c), p[at:])
		if err != nil && err != unix.EINTR {
			return at, err
		}
		at += max(n, 0)
	}
	return len(p), nil
}
