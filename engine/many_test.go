//go:build linux

package engine

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eyrie/engine/admit"
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
	least := math.Inf(1)
	for range 5 { // what the runtime takes for itself meanwhile only adds to it
		if least = min(least, idleLink(t)); least <= idleLinkMax {
			t.Logf("%.1f B of heap per idle link", least)
			return
		}
	}
	t.Errorf("%.1f B per idle link, want at most %d", least, idleLinkMax)
}

// idleLink is what an idle link costs. All are one loop's: with two, how the kernel shares them out
// decides when a loop's tables double.
func idleLink(t *testing.T) (perLink float64) {
	h := newHouse(t, func(cfg *Config) { cfg.Poll.Loops = 1 }, nil)
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
	return (b - a) / (many - few)
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
	allCodecs(t, func(t *testing.T, codec wire.Codec) {
		h := newHouse(t, nil, nil)
		const links = 1000
		var cs []net.Conn
		if codec == wire.MsgPack {
			cs = fleet(t, h.addr.String(), 0, links)
		} else {
			for i := range links {
				cs = append(cs, h.agent(codec, fmt.Sprint("a", i)).Conn)
			}
		}
		h.noAllocations(codec, cs, false, h.events.Load)
	})
}

// TestNoAllocationsUnderRates is the same while every link is told its rate and
// is not read for a while, again and again.
func TestNoAllocationsUnderRates(t *testing.T) {
	h := newHouse(t, nil, nil)
	var cs []net.Conn
	for i := range 200 {
		cs = append(cs, h.agent(wire.MsgPack, fmt.Sprint("a", i)).Conn)
	}
	h.srv.rates.Store(&admit.Rates{Total: 1e9, Agent: 100, Critical: 100}) // half a second for what follows the burst
	h.noAllocations(wire.MsgPack, cs, true, h.events.Load)
	paused := uint64(0)
	for _, l := range h.srv.loops {
		paused += l.m.ratePauses.Get()
	}
	if paused < uint64(len(cs)) {
		t.Errorf("%d pauses on %d links", paused, len(cs))
	}
}

// TestNoAllocationsWhileShedding is the same while the ring is so full that what
// comes is shed.
func TestNoAllocationsWhileShedding(t *testing.T) {
	allCodecs(t, func(t *testing.T, codec wire.Codec) {
		var shed atomic.Uint64
		h := newHouse(t, nil, func(it *Item) {
			for p := it.Payload; it.Kind == ItemShed; {
				part, rest, ok := CutShedPart(p)
				if !ok {
					break
				}
				shed.Add(part.Count)
				p = rest
			}
		})
		var cs []net.Conn
		for i := range 200 {
			hello := wire.AppendHello(nil, codec, &wire.HelloOut{
				Producer: [16]byte{byte(i), 1}, Epoch: 1, First: 1, Agent: &wire.Event{Agent: fmt.Sprint("a", i)}, Sheddable: []wire.Prio{wire.PrioLow, wire.PrioNormal, wire.PrioHigh},
			})
			cs = append(cs, h.hello(codec, hello).Conn)
		}
		h.hold.Store(true)
		h.srv.ask(t.Context(), func(l *loop) { l.gauge = admit.NewGauge(0) }) // all that is in a ring is more than it should be
		taken := func() (n int64) {
			for _, l := range h.srv.loops {
				n += int64(l.m.events.Get())
			}
			return n
		}
		sent := h.noAllocations(codec, cs, false, taken)
		h.hold.Store(false)
		h.ring()
		for deadline := time.Now().Add(30 * time.Second); shed.Load()+uint64(h.events.Load()) < uint64(sent); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d shed and %d stored of %d", shed.Load(), h.events.Load(), sent)
			}
		}
		if n := shed.Load(); n < uint64(sent)*9/10 {
			t.Errorf("%d of %d events were shed", n, sent)
		}
	})
}

// noAllocations sends events on links without events in flight, and holds what
// the process allocates at nothing per event; taken counts them. It returns how
// many were sent. In step, no link is sent a frame before it was read to the end
// of the last: then nothing waits in netpoll, which would make room for it.
func (h *house) noAllocations(codec wire.Codec, cs []net.Conn, inStep bool, taken func() int64) (sent int) {
	h.t.Helper()
	if raceOn {
		h.t.Skip("the race detector allocates")
	}
	const rounds, each = 10, 20
	warm := 2 // rounds in which scratch grows to its size
	if inStep {
		warm = 8 // the burst, and some pauses
	}
	var ps [][]byte
	for i := range each {
		ps = append(ps, event("type", "tool", "name", "grep", "span", fmt.Sprint("s", i), "ts_ns", int64(1700000000000000000)))
	}
	frames := make([][]byte, warm+rounds)
	for i := range frames {
		frames[i] = frameOf(codec, wire.AppendEvents(nil, codec, uint64(2+i*each), nil, ps...))
	}
	base := taken()
	until := func(n int64) {
		for deadline := time.Now().Add(30 * time.Second); taken() < n; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				h.t.Fatalf("%d events of %d", taken(), n)
			}
		}
	}
	links := len(cs)
	round := func(i int) {
		for _, c := range cs {
			if _, err := c.Write(frames[i]); err != nil {
				h.t.Fatal(err)
			}
		}
		if inStep {
			until(base + int64((i+1)*links*each))
		}
	}
	for i := range warm {
		round(i)
	}
	until(base + int64(warm*links*each))
	var a, b runtime.MemStats
	runtime.ReadMemStats(&a)
	for i := range rounds {
		round(warm + i)
	}
	until(base + int64((warm+rounds)*links*each))
	runtime.ReadMemStats(&b)
	events := rounds * links * each
	h.t.Logf("%d allocations for %d events in %d frames on %d links", b.Mallocs-a.Mallocs, events, rounds*links, links)
	if per := float64(b.Mallocs-a.Mallocs) / float64(events); per > 0.001 {
		h.t.Errorf("%.4f allocations per event", per)
	}
	return (warm + rounds) * links * each
}

// TestNoAllocationsOnTheLoop holds the same without sockets, exactly: at ease,
// with rates that are kept, with rates that have the link paused at each frame,
// and with all but CRITICAL events shed.
func TestNoAllocationsOnTheLoop(t *testing.T) {
	if raceOn {
		t.Skip("the race detector allocates")
	}
	for _, c := range []struct {
		name       string
		rate       float64 // of an agent; 0 limits nothing
		sixteenths int     // of the high watermark that are in the ring before each frame
	}{{"at ease", 0, 0}, {"below the rate", 1e9, 0}, {"above the rate", 1, 0}, {"shedding", 0, 14}, {"shedding above the rate", 1, 14}} {
		t.Run(c.name, func(t *testing.T) {
			allCodecs(t, func(t *testing.T, codec wire.Codec) {
				r := newRig(t, nil)
				all := []wire.Prio{wire.PrioLow, wire.PrioNormal, wire.PrioHigh}
				k := r.open("good", codec.Subprotocol())
				r.feed(k, frameOf(codec, wire.AppendHello(nil, codec, &wire.HelloOut{Producer: [16]byte{1}, Epoch: 1, First: 1, Agent: &wire.Event{Agent: "a"}, Sheddable: all})))
				r.items()
				if c.rate > 0 {
					r.limit(c.rate, c.rate, c.rate)
				}
				ps := [][]byte{
					event("run", "r"), event("agent", "other"), event("type", "metrics", "metrics", map[string]any{"cpu": 0.5}),
					event("agent", "third", "prio", "low"), event("prio", "high"), event("prio", "critical"),
				}
				f := frameOf(codec, wire.AppendEvents(nil, codec, 1, []byte("p"), ps...))
				work := make([]byte, len(f))
				kinds, frames := [ItemMessage + 1]int{}, 0
				n := testing.AllocsPerRun(1000, func() {
					frames++
					for most := r.l.gauge.High() / 16 * c.sixteenths; r.l.ring.Used() < most; {
						b, ok := r.l.ring.Reserve(64<<10, false)
						if !ok {
							t.Fatal("the ring is too small for the test")
						}
						putItem(b, ItemPos, 0, 0, nil)
						r.l.ring.Publish()
					}
					copy(work, f)
					if used := r.l.Read(k.h, work); used != len(f) {
						t.Fatal(used)
					}
					var it Item
					for {
						rec, ok := r.l.ring.Next()
						if !ok {
							break
						}
						if err := DecodeItem(rec, &it); err != nil {
							t.Fatal(err)
						}
						if it.Link != 0 {
							kinds[it.Kind]++
						}
					}
					r.l.ring.Release()
					if k.paused { // until it owes nothing
						r.now = max(r.now, k.timer)
						r.l.Timeout(k.h)
					}
				})
				if n != 0 {
					t.Errorf("%v allocations a frame", n)
				}
				want := [ItemMessage + 1]int{ItemEvent: 6, ItemPos: 1, ItemFrameEnd: 1}
				if c.sixteenths > 0 {
					want[ItemEvent], want[ItemShed] = 1, 1
				}
				for i := range want {
					if kinds[i] != want[i]*frames {
						t.Errorf("%v: %d of %d frames, want %d of each", ItemKind(i), kinds[i], frames, want[i])
					}
				}
				if pauses := r.l.m.ratePauses.Get(); (pauses > uint64(frames)/2) != (c.rate == 1) {
					t.Errorf("%d pauses in %d frames", pauses, frames)
				}
				if fl := r.l.flows[k.h]; c.rate > 0 && (fl == nil || fl.crowd.Count() != 3) {
					t.Errorf("three agents were not counted")
				}
			})
		})
	}
}
