//go:build linux

package netpoll

import (
	"io"
	"math"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestManyConnections opens and closes 2,000 connections twice: no goroutine
// and no descriptor per connection stays, slots are reused, and a mass close
// does not keep others from their echo.
func TestManyConnections(t *testing.T) {
	const n = 2000
	var closed atomic.Int64
	p, addr := serve(t, Config{Loops: 2}, func(k *hooks) {
		k.closed = func(Handle, error) { closed.Add(1) }
	})
	other := dial(t, addr)
	echoOnce(t, other, []byte("first"))
	goroutines, fds := runtime.NumGoroutine(), openFDs(t)
	for round := range 2 {
		var conns []int
		for range n {
			conns = append(conns, rawDial(t, addr))
		}
		await(t, "all accepted", func() bool { return p.Conns() == n+1 })
		if g := runtime.NumGoroutine(); g > goroutines+2 {
			t.Fatalf("%d goroutines with %d connections, %d before", g, n, goroutines)
		}
		b := []byte("ping")
		for _, fd := range conns {
			if _, err := unix.Write(fd, b); err != nil {
				t.Fatal(err)
			}
		}
		for _, fd := range conns {
			if m, err := unix.Read(fd, b); m != 4 || err != nil {
				t.Fatal(m, err)
			}
		}
		for _, fd := range conns { // all at once, with nothing in between
			if err := unix.Close(fd); err != nil {
				t.Fatal(err)
			}
		}
		echoOnce(t, other, []byte("while they go"))
		await(t, "all closed", func() bool { return closed.Load() == int64(n*(round+1)) })
	}
	await(t, "all descriptors closed", func() bool { return openFDs(t) <= fds })
	slots := 0
	for _, l := range p.Loops() {
		on(t, l, func() { slots += len(l.slab.chunks) << chunkLog })
	}
	if slots > 2*n+2*chunkConns {
		t.Fatalf("%d slots for at most %d connections", slots, n+1)
	}
}

// TestShutdownOfACrowd: the server closes 1,000 connections in order.
func TestShutdownOfACrowd(t *testing.T) {
	const n = 1000
	var clean, other atomic.Int64
	p, addr := serve(t, Config{Loops: 2, Linger: 5 * time.Second}, func(k *hooks) {
		k.closed = func(_ Handle, err error) {
			if err == nil {
				clean.Add(1)
			} else {
				other.Add(1)
			}
		}
	})
	var conns []int
	for range n {
		conns = append(conns, rawDial(t, addr))
	}
	await(t, "all accepted", func() bool { return p.Conns() == n })
	done := make(chan error, 1)
	go func() { done <- p.Shutdown(t.Context()) }()
	b := make([]byte, 1)
	for _, fd := range conns {
		if m, err := unix.Read(fd, b); m != 0 || err != nil {
			t.Fatalf("%d, %v, want the end of the stream", m, err)
		}
		unix.Close(fd)
	}
	if err := take(t, "Shutdown", done); err != nil {
		t.Fatal(err)
	}
	if clean.Load() != n || other.Load() != 0 {
		t.Fatalf("%d closed in order, %d otherwise", clean.Load(), other.Load())
	}
}

// TestOutOfDescriptors: without a free descriptor, new connections are refused
// at once instead of waking the loop for ever; others do not notice; with
// descriptors again, accepting goes on.
func TestOutOfDescriptors(t *testing.T) {
	p, addr := serve(t, Config{}, nil)
	good := dial(t, addr)
	echoOnce(t, good, []byte("before"))
	var socks []int
	for range 20 {
		socks = append(socks, rawSocket(t))
	}
	defer func() {
		for _, fd := range socks {
			unix.Close(fd)
		}
	}()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	// A limit of 0 does not close what is open, and no number is below it.
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	restored := false
	restore := func() {
		if !restored {
			restored = true
			if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
				t.Error(err)
			}
		}
	}
	defer restore()
	// The reserve is lost at the first try, since even it cannot be had
	// again under this limit: what is left is to be silent and try later.
	for _, fd := range socks[:10] {
		if err := rawConnect(fd, addr); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "the listener to be muted", func() bool { return p.n.muted.Get() > 0 })
	cycles := p.n.cycles.Get()
	for range 20 {
		echoOnce(t, good, []byte("during"))
	}
	time.Sleep(150 * time.Millisecond)
	if n := p.n.cycles.Get() - cycles; n > 60 {
		t.Fatalf("%d cycles in 150 ms without a descriptor", n)
	}
	restore()
	for _, fd := range socks[10:] {
		if err := rawConnect(fd, addr); err != nil {
			t.Fatal(err)
		}
	}
	// All that waited are served, the early ones too.
	await(t, "the rest accepted", func() bool { return p.Conns() == 21 })
	on(t, p.Loops()[0], func() {
		if l := p.Loops()[0]; l.muted != 0 || l.spare < 0 {
			t.Errorf("%d muted, reserve %d", l.muted, l.spare)
		}
	})
}

// TestReserveDescriptor: at the limit with the reserve in hand, the waiting
// connections are taken from the queue and reset.
func TestReserveDescriptor(t *testing.T) {
	oneTable(t)
	p, addr := serve(t, Config{}, nil)
	l := p.Loops()[0]
	socks := []int{rawSocket(t), rawSocket(t), rawSocket(t)}
	defer func() {
		for _, fd := range socks {
			unix.Close(fd)
		}
	}()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	// All below the limit is taken: the fill holds every free number.
	var fill []int
	on(t, l, func() {
		limit := uint64(0)
		for {
			fd, err := unix.Dup(socks[0])
			if err != nil {
				t.Error(err)
				break
			}
			fill = append(fill, fd)
			if limit == 0 {
				limit = uint64(fd) + 64
				if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: old.Max}); err != nil {
					t.Error(err)
				}
			}
			if uint64(fd) == limit-1 {
				break
			}
		}
	})
	for _, fd := range socks {
		if err := rawConnect(fd, addr); err != nil {
			t.Error(err)
		}
	}
	await(t, "refusals", func() bool { return p.n.refused.Get() == 3 })
	for _, fd := range fill {
		unix.Close(fd)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	for _, fd := range socks {
		if n, err := unix.Read(fd, make([]byte, 1)); err != unix.ECONNRESET {
			t.Fatalf("a refused peer sees %d, %v", n, err)
		}
	}
	echoOnce(t, dial(t, addr), []byte("after"))
}

// TestClosingMakesRoom: at the limit, connections that are gone but not yet
// closed give their descriptors to those that wait, before anyone is refused.
func TestClosingMakesRoom(t *testing.T) {
	set := ownTables(t, 1)
	p, addr := serve(t, Config{Tables: set}, nil)
	l := p.Loops()[0]
	c := dial(t, addr) // its socket exists before the limit falls
	echoOnce(t, c, []byte("before"))
	sock := rawSocket(t)
	defer unix.Close(sock)
	lowerLimit(t, 512)
	accepted := false
	on(t, l, func() {
		for {
			fd, err := unix.Dup(l.spare)
			if err != nil {
				break
			}
			l.closing = append(l.closing, int32(fd))
		}
		if len(l.closing) <= closesPerCycle {
			t.Errorf("only %d descriptors: the test shows nothing", len(l.closing))
		}
		// The client's socket is of the process' own table: it cannot connect
		// from here, so the loop waits for it.
		done := make(chan error)
		go func() { done <- rawConnect(sock, addr) }()
		if err := <-done; err != nil {
			t.Error(err)
		}
		for l.acceptOne(l.listeners[0]) {
			accepted = accepted || l.slab.live.Load() == 2
		}
		if l.n.refused > 0 {
			t.Errorf("%d refused", l.n.refused)
		}
	})
	if !accepted {
		t.Error("not accepted, with hundreds of descriptors to close")
	}
}

// TestExhaustion keeps a loop out of descriptors for a second, or for as long
// as EYRIE_EXHAUSTION says: newcomers are told by a reset, those who are in are
// served, the loop does not spin, and with room it accepts within a second.
func TestExhaustion(t *testing.T) {
	long := time.Second
	if s := os.Getenv("EYRIE_EXHAUSTION"); s != "" {
		var err error
		if long, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	const limit = 128
	set, clients := ownTables(t, 1), ownTables(t, 2)
	p, addr := serve(t, Config{Tables: set}, nil)
	lowerLimit(t, limit)
	// try connects on the calling thread and says whether an echo came back.
	try := func() (fd int, served bool) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Error(err)
			return -1, false
		}
		if err := rawConnect(fd, addr); err != nil {
			t.Error(err)
			return fd, false
		}
		if n, err := unix.Write(fd, []byte("x")); n != 1 || err != nil {
			return fd, false
		}
		n, err := unix.Read(fd, make([]byte, 1))
		return fd, n == 1 && err == nil
	}
	fds := make([][]int, clients.Len())
	for i := range fds {
		clients.Thread(i).Do(func() {
			for range 90 {
				fd, served := try()
				if !served {
					unix.Close(fd)
					return
				}
				fds[i] = append(fds[i], fd)
			}
		})
	}
	in := len(fds[0]) + len(fds[1])
	if in < 100 || in >= limit {
		t.Fatalf("%d connections before the limit of %d", in, limit)
	}
	cycles, tries := p.n.cycles.Get(), uint64(0)
	clients.Thread(0).Do(func() {
		for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			tries++
			fd, served := try()
			unix.Close(fd)
			if served {
				t.Error("served beyond the limit")
			}
			old := fds[0][tries%uint64(len(fds[0]))]
			b := []byte("o")
			if _, err := unix.Write(old, b); err != nil {
				t.Error(err)
			}
			if n, err := unix.Read(old, b); n != 1 || err != nil {
				t.Errorf("one that is in: %d, %v", n, err)
			}
		}
	})
	if n := p.n.cycles.Get() - cycles; n > 20*tries+100 {
		t.Errorf("%d cycles for %d refusals: the loop spins", n, tries)
	}
	if n := p.n.refused.Get(); n < tries {
		t.Errorf("%d refused of %d", n, tries)
	}
	clients.Thread(1).Do(func() {
		unix.Close(fds[1][0])
		for start := time.Now(); ; {
			fd, served := try()
			unix.Close(fd)
			if served {
				return
			}
			if time.Since(start) > time.Second {
				t.Error("there is room, and still nobody is served after a second")
				return
			}
		}
	})
}

// lowerLimit sets the soft limit of descriptors for the rest of the test.
func lowerLimit(t testing.TB, n uint64) {
	t.Helper()
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Setrlimit(unix.RLIMIT_NOFILE, &was) })
}

// TestEchoDoesNotAllocate holds the read→write path of a connection.
func TestEchoDoesNotAllocate(t *testing.T) {
	for name, echo := range map[string]func(k *hooks){
		"whole": nil,
		"kept": func(k *hooks) { // a tail is kept and shown again
			k.read = func(h Handle, b []byte) int {
				if len(b) < 128 {
					return 0
				}
				k.l.SetTimer(h, time.Minute)
				if err := k.l.Write(h, b); err != nil {
					t.Error(err)
				}
				return len(b)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, addr := serve(t, Config{}, echo)
			fd := rawDial(t, addr)
			defer unix.Close(fd)
			p := make([]byte, 128)
			ping := func() {
				if echo != nil {
					writeAll(t, fd, p[:40])
					runtime.Gosched()
					writeAll(t, fd, p[40:])
				} else {
					writeAll(t, fd, p)
				}
				for n := 0; n < len(p); {
					m, err := unix.Read(fd, p[n:])
					if m <= 0 {
						t.Fatal(m, err)
					}
					n += m
				}
			}
			for range 100 {
				ping()
			}
			// AllocsPerRun would run on one processor, which the loop and
			// this goroutine, both blocking in the kernel, pass on slowly.
			const pings = 5000
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range pings {
				ping()
			}
			runtime.ReadMemStats(&after)
			if n := after.Mallocs - before.Mallocs; n > pings/50 {
				t.Fatalf("%d allocations in %d messages, want none but the runtime's own", n, pings)
			}
		})
	}
}

func writeAll(t testing.TB, fd int, p []byte) {
	for len(p) > 0 {
		n, err := unix.Write(fd, p)
		if err != nil {
			t.Fatal(err)
		}
		p = p[n:]
	}
}

// TestConnBytes: what a connection costs the heap, as a slope. What the runtime
// takes for itself meanwhile, a span or a stack, only adds to it: the least of a
// few is the connection's own.
func TestConnBytes(t *testing.T) {
	least := math.Inf(1)
	for range 5 {
		if least = min(least, connSlope(t, 1000, 3000)); least <= 40 {
			return
		}
	}
	t.Fatalf("%.0f bytes of user memory per idle connection, want at most 40", least)
}

// connSlope is the slope of the heap in use between two numbers of idle
// connections, each of which echoed a message.
func connSlope(t testing.TB, low, high int) float64 {
	p, addr := serve(t, Config{Loops: 1}, nil)
	var fds []int
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	b := make([]byte, 64)
	grow := func(n int) uint64 {
		for len(fds) < n {
			fd := rawDial(t, addr)
			fds = append(fds, fd)
			writeAll(t, fd, b)
			if m, err := unix.Read(fd, b); m != len(b) || err != nil {
				t.Fatal(m, err)
			}
		}
		await(t, "all accepted", func() bool { return p.Conns() == n })
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	fds = make([]int, 0, high)
	a := grow(low)
	z := grow(high)
	return (float64(z) - float64(a)) / float64(high-low)
}

// TestStalledMiddle: a peer in the middle of a message costs a small cell, not
// a read buffer.
func TestStalledMiddle(t *testing.T) {
	p, addr := serve(t, Config{}, func(k *hooks) { k.read = func(Handle, []byte) int { return 0 } })
	const n = 500
	for range n {
		if _, err := dial(t, addr).Write(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "all to be kept", func() bool { return p.n.readBytes.Get() == 100*n })
	await(t, "the gauge", func() bool { return p.heldBytes() > 0 })
	if b := p.heldBytes(); b > 128*n+2*arenaBytes {
		t.Fatalf("%d bytes held for %d × 100", b, n)
	}
}

// TestPeerGoneWhileQueued: writes to a peer that is gone end the connection
// and free the queue.
func TestPeerGoneWhileQueued(t *testing.T) {
	closed := make(chan error, 1)
	p, addr := serve(t, Config{WriteMax: 4 << 20}, func(k *hooks) {
		k.read = func(h Handle, b []byte) int {
			for k.l.Write(h, make([]byte, 50_000)) == nil {
			}
			return len(b)
		}
		k.closed = func(_ Handle, err error) { closed <- err }
	})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, c, 100_000); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := take(t, "Close", closed); err == nil {
		t.Fatal("Close without an error")
	}
	on(t, p.Loops()[0], func() {
		l := p.Loops()[0]
		if l.cells.trim(); l.cells.bytes != 0 {
			t.Errorf("%d bytes of cells left", l.cells.bytes)
		}
	})
}
