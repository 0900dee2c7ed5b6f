//go:build linux

package netpoll

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestChaos lets handlers do anything at any call, on their own connection and
// on others, while peers send, stall, half-close, reset and vanish. Every Open
// must be followed by exactly one Close or Detach, nothing after it, and
// nothing may be left: no connection, no descriptor, no cell, no timer.
func TestChaos(t *testing.T) {
	oneTable(t)
	clients, rounds := 8, 400
	if testing.Short() {
		rounds = 10
	}
	fds := openFDs(t)
	var opened, gone atomic.Int64
	p, addr := serve(t, Config{Loops: 2, ReadBuffer: 8 << 10, ReadMax: 64 << 10, WriteMax: 64 << 10, Tick: time.Millisecond, Linger: 20 * time.Millisecond}, func(k *hooks) {
		newChaos(t, k, &opened, &gone)
	})
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() { chaosPeer(t, addr, rounds, rand.New(rand.NewPCG(uint64(i), 9))) })
	}
	all.Wait()
	await(t, "every connection to end", func() bool {
		for _, l := range p.Loops() { // what is paused or held stays unless told
			on(t, l, func() {
				l.HoldReads(false)
				l.slab.each(func(slot uint32, c *conn) { l.Resume(makeHandle(l.index, c.gen, slot)) })
			})
		}
		return p.Conns() == 0
	})
	if o, g := opened.Load(), gone.Load(); o == 0 || o != g {
		t.Fatalf("%d opened, %d ended", o, g)
	}
	for _, l := range p.Loops() {
		on(t, l, func() {
			l.cells.trim()
			if l.cells.bytes != 0 || l.wheel.count != 0 || l.batchFor != 0 || len(l.ends) != 0 {
				t.Errorf("loop %d: %d bytes of cells, %d timers, batch for %x, %d ends left", l.index, l.cells.bytes, l.wheel.count, l.batchFor, len(l.ends))
			}
		})
	}
	if err := p.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, "descriptors", func() bool { return openFDs(t) <= fds })
}

func newChaos(t *testing.T, k *hooks, opened, gone *atomic.Int64) {
	rnd := rand.New(rand.NewPCG(uint64(k.l.Index()), 5))
	live := map[Handle]bool{}
	var handles []Handle // dead ones too
	big := make([]byte, 100_000)
	act := func(h Handle, call string) {
		if !live[h] {
			t.Errorf("%s for %x, which is not open", call, h)
		}
		if rnd.IntN(4) == 0 {
			h = handles[rnd.IntN(len(handles))]
		}
		for range rnd.IntN(3) {
			switch rnd.IntN(16) {
			case 0, 1, 2, 3:
				_ = k.l.Write(h, big[:1<<rnd.IntN(17)])
			case 4, 5, 6:
				k.l.SetTimer(h, time.Duration(rnd.IntN(5))*time.Millisecond)
			case 7:
				k.l.Pause(h)
				k.l.SetTimer(h, time.Millisecond) // whose action may resume it
			case 8, 9:
				k.l.Resume(h)
			case 10:
				k.l.HoldReads(true)
			case 11, 12:
				k.l.HoldReads(false)
			case 13:
				k.l.CloseAfterFlush(h)
			case 14:
				k.l.Abort(h)
			case 15:
				if err := k.l.Detach(h, func(fd int, _ error) { _ = unix.Close(fd) }); err == nil {
					if !live[h] {
						t.Errorf("detached %x, which is not open", h)
					}
					delete(live, h)
					gone.Add(1)
					return
				}
			}
		}
		k.l.Wake()
	}
	k.open = func(h Handle, _ int, _ netip.AddrPort) {
		opened.Add(1)
		if live[h] {
			t.Errorf("%x opened twice", h)
		}
		live[h] = true
		handles = append(handles, h)
		act(h, "Open")
	}
	k.read = func(h Handle, b []byte) int {
		n := rnd.IntN(len(b) + 1)
		act(h, "Read")
		for i := range b { // all of it is ours until we return
			b[i]++
		}
		return n
	}
	k.drained = func(h Handle) { act(h, "Drained") }
	k.timeout = func(h Handle) { act(h, "Timeout") }
	k.closed = func(h Handle, _ error) {
		act(h, "Close")
		if !live[h] {
			return // act detached it, which it must not
		}
		delete(live, h)
		gone.Add(1)
	}
	k.wake = func() {
		for range rnd.IntN(2) {
			for h := range live {
				act(h, "Wake")
				break
			}
		}
	}
}

func chaosPeer(t *testing.T, addr string, rounds int, rnd *rand.Rand) {
	b := make([]byte, 50_000)
	for range rounds {
		fd := rawSocket(t)
		if err := rawConnect(fd, addr); err != nil {
			_ = unix.Close(fd)
			if err == unix.ECONNRESET { // Open aborted it before connect(2) had returned
				continue
			}
			t.Error(err)
			return
		}
		_ = unix.SetNonblock(fd, true)
		for range rnd.IntN(12) {
			switch rnd.IntN(6) {
			case 0, 1:
				_, _ = unix.Write(fd, b[:1<<rnd.IntN(16)])
			case 2, 3:
				_, _ = unix.Read(fd, b)
			case 4:
				time.Sleep(time.Duration(rnd.IntN(500)) * time.Microsecond)
			case 5:
				if rnd.IntN(4) == 0 {
					_ = unix.Shutdown(fd, unix.SHUT_WR)
				}
			}
		}
		if rnd.IntN(2) == 0 {
			_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		}
		_ = unix.Close(fd)
	}
}
