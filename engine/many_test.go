//go:build linux

package engine

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eyrie/engine/wire"

	"golang.org/x/sys/unix"
)

// rawDial upgrades and says hello with one write each, reading into buf, so
// that thousands of clients cost this process next to nothing.
func rawDial(addr, id string, buf []byte) (net.Conn, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	fail := func(err error) (net.Conn, error) {
		c.Close()
		return nil, err
	}
	if _, err := c.Write(upgradeRequest(AgentPath, "Authorization: Bearer good")); err != nil {
		return fail(err)
	}
	n, err := c.Read(buf)
	if err != nil || !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 101") {
		return fail(fmt.Errorf("%v: %q", err, buf[:n]))
	}
	if _, err := c.Write(frameOf(wire.MsgPack, helloMessage(wire.MsgPack, id))); err != nil {
		return fail(err)
	}
	if err := readOne(c, buf); err != nil { // welcome
		return fail(err)
	}
	return c, nil
}

// readOne reads one short frame of the server.
func readOne(c io.Reader, buf []byte) error {
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
	_, err := io.ReadFull(c, buf[:n])
	return err
}

// fleet opens n agents' links, each with one acknowledged event.
func fleet(t testing.TB, addr string, from, n int) []net.Conn {
	t.Helper()
	cs := make([]net.Conn, n)
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for w := range 8 {
		wg.Go(func() {
			buf := make([]byte, 4096)
			first := frameOf(wire.MsgPack, wire.AppendEvents(nil, wire.MsgPack, 1, nil, event()))
			for i := w; i < n; i += 8 {
				c, err := rawDial(addr, fmt.Sprintf("agent-%06d", from+i), buf)
				if err == nil {
					cs[i] = c
					if _, err = c.Write(first); err == nil {
						err = readOne(c, buf) // the ack
					}
				}
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	t.Cleanup(func() {
		for _, c := range cs {
			if c != nil {
				c.Close()
			}
		}
	})
	select {
	case err := <-errs:
		t.Fatal(err)
	default:
	}
	return cs
}

// TestManyLinks holds 2,000 links: no goroutine for any of them, all counted,
// all gone in the end.
func TestManyLinks(t *testing.T) {
	var closed atomic.Int64
	h := newHouse(t, nil, func(it *Item) {
		if it.Kind == ItemClosed {
			closed.Add(1)
		}
	})
	before := runtime.NumGoroutine()
	cs := fleet(t, h.addr.String(), 0, 2000)
	if n := runtime.NumGoroutine() - before; n > 16 {
		t.Errorf("%d goroutines more", n)
	}
	links := h.srv.Links()
	ids := map[string]bool{}
	for _, l := range links {
		ids[l.Agent] = true
	}
	if len(links) != 2000 || len(ids) != 2000 || h.events.Load() != 2000 {
		t.Errorf("%d links, %d ids, %d events", len(links), len(ids), h.events.Load())
	}
	for _, c := range cs {
		c.Close()
	}
	for deadline := time.Now().Add(10 * time.Second); closed.Load() < 2000; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d links closed", closed.Load())
		}
	}
	if n := len(h.srv.Links()); n != 0 {
		t.Errorf("%d links left", n)
	}
}

// TestIdleLinkMemory holds what an idle link costs the engine and netpoll: the
// heap's slope over links that said hello and had an event acknowledged. The
// clients are bare descriptors, so that all of the slope is the server's.
func TestIdleLinkMemory(t *testing.T) {
	if raceOn {
		t.Skip("the race detector's shadow memory is not ours")
	}
	h := newHouse(t, nil, nil)
	heap := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	const few, many = 1000, 4000
	fds := make([]int, 0, many)
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	buf := make([]byte, 4096)
	grow := func(n int) float64 {
		for len(fds) < n {
			fd, err := bareAgent(h.addr, fmt.Sprintf("agent-%06d", len(fds)), buf)
			if err != nil {
				t.Fatal(err)
			}
			fds = append(fds, fd)
		}
		return heap()
	}
	grow(1)
	a := grow(few)
	b := grow(many)
	perLink := (b - a) / (many - few)
	t.Logf("%.1f B of heap per idle link", perLink)
	if perLink > idleLinkMax {
		t.Errorf("%.1f B per idle link, want at most %d", perLink, idleLinkMax)
	}
}

// idleLinkMax is what an idle link may cost netpoll and engine together, its
// default agent's id of 12 bytes included.
const idleLinkMax = 128

// bareAgent connects, says hello and has one event acknowledged on a blocking
// descriptor.
func bareAgent(at netip.AddrPort, id string, buf []byte) (fd int, err error) {
	if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, err
	}
	steps := func() error {
		if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}); err != nil {
			return err
		}
		c := bare(fd)
		if _, err := c.Write(upgradeRequest(AgentPath, "Authorization: Bearer good")); err != nil {
			return err
		}
		if n, err := c.Read(buf); err != nil || !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 101") {
			return fmt.Errorf("%v: %q", err, buf[:max(n, 0)])
		}
		for _, p := range [][]byte{helloMessage(wire.MsgPack, id), wire.AppendEvents(nil, wire.MsgPack, 1, nil, event())} {
			if _, err := c.Write(frameOf(wire.MsgPack, p)); err != nil {
				return err
			}
			if err := readOne(c, buf); err != nil { // the welcome, the ack
				return err
			}
		}
		return nil
	}
	if err := steps(); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// bare is a blocking descriptor.
type bare int

func (c bare) Read(p []byte) (int, error)  { return unix.Read(int(c), p) }
func (c bare) Write(p []byte) (int, error) { return unix.Write(int(c), p) }

// TestNoAllocations sends events on 1,000 links of a running server and holds
// the path from socket to ring at nothing allocated per event.
func TestNoAllocations(t *testing.T) {
	if raceOn {
		t.Skip("the race detector allocates")
	}
	allCodecs(t, func(t *testing.T, codec wire.Codec) {
		h := newHouse(t, nil, nil)
		const links, rounds, each = 1000, 10, 20
		var cs []net.Conn
		if codec == wire.MsgPack {
			cs = fleet(t, h.addr.String(), 0, links)
		} else {
			for i := range links {
				cs = append(cs, h.agent(codec, fmt.Sprint("a", i)).Conn)
			}
		}
		var ps [][]byte
		for i := range each {
			ps = append(ps, event("type", "tool", "name", "grep", "span", fmt.Sprint("s", i), "ts_ns", int64(1700000000000000000)))
		}
		frames := make([][]byte, rounds+2)
		for i := range frames {
			frames[i] = frameOf(codec, wire.AppendEvents(nil, codec, uint64(2+i*each), nil, ps...))
		}
		round := func(i int) {
			for _, c := range cs {
				if _, err := c.Write(frames[i]); err != nil {
					t.Fatal(err)
				}
			}
		}
		until := func(n int64) {
			for deadline := time.Now().Add(30 * time.Second); h.events.Load() < n; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("%d events of %d", h.events.Load(), n)
				}
			}
		}
		base := h.events.Load()
		round(0) // scratch grows to its size
		round(1)
		until(base + 2*links*each)
		var a, b runtime.MemStats
		runtime.ReadMemStats(&a)
		for i := range rounds {
			round(2 + i)
		}
		until(base + (2+rounds)*links*each)
		runtime.ReadMemStats(&b)
		const events = rounds * links * each
		per := float64(b.Mallocs-a.Mallocs) / events
		t.Logf("%d allocations for %d events in %d frames on %d links", b.Mallocs-a.Mallocs, events, rounds*links, links)
		if per > 0.001 {
			t.Errorf("%.4f allocations per event", per)
		}
	})
}

// TestNoAllocationsOnTheLoop holds the same without sockets, exactly.
func TestNoAllocationsOnTheLoop(t *testing.T) {
	if raceOn {
		t.Skip("the race detector allocates")
	}
	allCodecs(t, func(t *testing.T, codec wire.Codec) {
		r := newRig(t, nil)
		c := r.agent(codec, "a")
		ps := [][]byte{event("run", "r"), event("agent", "other"), event("type", "metrics", "metrics", map[string]any{"cpu": 0.5})}
		f := frameOf(codec, wire.AppendEvents(nil, codec, 1, []byte("p"), ps...))
		work := make([]byte, len(f))
		n := testing.AllocsPerRun(1000, func() {
			copy(work, f)
			if used := r.l.Read(c.h, work); used != len(f) {
				t.Fatal(used)
			}
			for {
				if _, ok := r.l.ring.Next(); !ok {
					break
				}
			}
			r.l.ring.Release()
		})
		if n != 0 {
			t.Errorf("%v allocations a frame", n)
		}
	})
}
