//go:build linux

package netpoll

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func echoOnce(t testing.TB, c net.Conn, p []byte) {
	t.Helper()
	if _, err := c.Write(p); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(p))
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, p) {
		t.Fatalf("echo of %d bytes differs", len(p))
	}
}

func TestEcho(t *testing.T) {
	_, addr := serve(t, Config{}, nil)
	c := dial(t, addr)
	for _, n := range []int{1, 100, 70_000, 400_000} {
		echoOnce(t, c, random(n))
	}
}

func random(n int) []byte {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return p
}

// framed consumes only whole messages: length u32, then that many bytes,
// which it changes before they are whole as often as it likes.
func framed(k *hooks, message func(h Handle, p []byte)) func(Handle, []byte) int {
	return func(h Handle, b []byte) int {
		used := 0
		for len(b)-used >= 4 {
			n := int(binary.LittleEndian.Uint32(b[used:]))
			if len(b)-used < 4+n {
				break
			}
			message(h, b[used+4:used+4+n])
			used += 4 + n
		}
		return used
	}
}

// TestPartialBytesAreShownAgain sends messages of all sizes in pieces of all
// sizes; the handler takes whole ones only. It covers bytes kept in front of
// the next read, in their own cell, and moves between the two.
func TestPartialBytesAreShownAgain(t *testing.T) {
	p, addr := serve(t, Config{ReadBuffer: 32 << 10, WriteMax: 8 << 20}, func(k *hooks) {
		k.read = framed(k, func(h Handle, p []byte) {
			if err := k.l.Write(h, p); err != nil {
				t.Errorf("Write: %v", err)
			}
		})
	})
	rnd := rand.New(rand.NewPCG(3, 4))
	var in, want []byte
	for i, n := range []int{0, 1, 60, 64, 5_000, 16 << 10, 17_000, 100_000, 700_000, 3, 40_000, 128, 900_000, 20} {
		in = binary.LittleEndian.AppendUint32(in, uint32(n))
		p := random(n + i)[:n]
		in, want = append(in, p...), append(want, p...)
	}
	c := dial(t, addr)
	go func() {
		for rest := in; len(rest) > 0; {
			n := min(len(rest), 1<<rnd.IntN(17))
			if _, err := c.Write(rest[:n]); err != nil {
				return // the reader tells
			}
			rest = rest[n:]
		}
	}()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("what came back differs")
	}
	l := p.Loops()[0]
	on(t, l, func() {
		l.cells.trim()
		if l.cells.bytes != 0 {
			t.Errorf("%d bytes of cells are left", l.cells.bytes)
		}
	})
}

// TestChangesToKeptBytesLast: a handler may work in place on bytes it does not
// consume yet.
func TestChangesToKeptBytesLast(t *testing.T) {
	for _, size := range []int{100, 50_000} {
		done := make(chan []byte, 1)
		_, addr := serve(t, Config{ReadBuffer: 32 << 10}, func(k *hooks) {
			seen := 0
			k.read = func(_ Handle, b []byte) int {
				for i := seen; i < len(b); i++ {
					b[i] ^= 0xff
				}
				if seen = len(b); seen < size {
					return 0
				}
				done <- bytes.Clone(b)
				return len(b)
			}
		})
		c := dial(t, addr)
		p := random(size)
		for rest := p; len(rest) > 0; {
			n := min(len(rest), size/7+1)
			if _, err := c.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		got := take(t, "all bytes", done)
		for i := range got {
			if got[i] != p[i]^0xff {
				t.Fatalf("size %d: byte %d was lost or changed twice", size, i)
			}
		}
	}
}

func TestReadMax(t *testing.T) {
	closed := make(chan error, 1)
	_, addr := serve(t, Config{ReadBuffer: 4 << 10, ReadMax: 10_000}, func(k *hooks) {
		k.read = func(Handle, []byte) int { return 0 }
		k.closed = func(_ Handle, err error) { closed <- err }
	})
	c := dial(t, addr)
	go c.Write(make([]byte, 100_000))
	if err := take(t, "Close", closed); err != ErrReadFull {
		t.Fatalf("Close(%v), want ErrReadFull", err)
	}
}

// TestPauseAndResume: paused, nothing is read and the peer's window closes;
// resumed, kept bytes are shown even if no more come.
func TestPauseAndResume(t *testing.T) {
	var bytesSeen atomic.Int64
	var handle atomic.Uint64
	take1 := false
	p, addr := serve(t, Config{}, func(k *hooks) {
		k.read = func(h Handle, b []byte) int {
			handle.Store(uint64(h))
			if !take1 {
				k.l.Pause(h)
				return 1
			}
			bytesSeen.Store(int64(len(b)))
			return len(b)
		}
	})
	l := p.Loops()[0]
	c := dial(t, addr)
	if _, err := c.Write([]byte("abcd")); err != nil {
		t.Fatal(err)
	}
	await(t, "the first Read", func() bool { return handle.Load() != 0 })
	h := Handle(handle.Load())
	on(t, l, func() { take1 = true })
	on(t, l, func() {
		if l.slab.at(h.Slot()).has(isArmedIn) {
			t.Error("still watched for bytes while paused")
		}
		l.Resume(h)
	})
	await(t, "the kept bytes", func() bool { return bytesSeen.Load() == 3 })
	echo := []byte("more")
	if _, err := c.Write(echo); err != nil {
		t.Fatal(err)
	}
	await(t, "bytes after Resume", func() bool { return bytesSeen.Load() == 4 })
}

// TestPausedPeerReset: a reset of a paused connection ends it, and does not
// spin until it is resumed.
func TestPausedPeerReset(t *testing.T) {
	closed := make(chan error, 1)
	_, addr := serve(t, Config{}, func(k *hooks) {
		k.read = func(h Handle, b []byte) int { k.l.Pause(h); return 0 }
		k.closed = func(_ Handle, err error) { closed <- err }
	})
	c := dial(t, addr)
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // either order ends the same way
	if err := c.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := take(t, "Close", closed); !errors.Is(err, unix.ECONNRESET) {
		t.Fatalf("Close(%v), want ECONNRESET", err)
	}
}

func TestHoldReads(t *testing.T) {
	var reads atomic.Int64
	var order []byte
	p, addr := serve(t, Config{}, func(k *hooks) {
		k.read = func(_ Handle, b []byte) int {
			order = append(order, b...)
			reads.Add(1)
			return len(b)
		}
	})
	l := p.Loops()[0]
	a, b := dial(t, addr), dial(t, addr)
	await(t, "both", func() bool { return p.Conns() == 2 })
	on(t, l, func() { l.HoldReads(true) })
	met := func(n int) func() bool {
		return func() (ok bool) { on(t, l, func() { ok = len(l.set) == n }); return ok }
	}
	for i, c := range []net.Conn{b, a} {
		if _, err := c.Write([]byte{'b' - byte(i)}); err != nil {
			t.Fatal(err)
		}
		await(t, "a held connection", met(i+1))
	}
	if n := reads.Load(); n != 0 {
		t.Fatalf("%d reads while held", n)
	}
	on(t, l, func() { l.HoldReads(false) })
	await(t, "the held reads", func() bool { return reads.Load() == 2 })
	if string(order) != "ba" {
		t.Fatalf("read in the order %q, want the order met", order)
	}
}

// TestDetach hands a connection over in the middle of its bytes.
func TestDetach(t *testing.T) {
	type handed struct {
		fd   int
		rest []byte
	}
	out := make(chan handed, 1)
	p, addr := serve(t, Config{}, func(k *hooks) {
		k.read = func(h Handle, b []byte) int {
			if len(b) < 10 {
				return 0
			}
			if err := k.l.Write(h, []byte("bye ")); err != nil {
				t.Error(err)
			}
			rest := bytes.Clone(b[4:])
			if err := k.l.Detach(h, func(fd int, err error) {
				if err != nil {
					t.Error(err)
				}
				out <- handed{fd, rest}
			}); err != nil {
				t.Error(err)
			}
			if err := k.l.Write(h, b); err != ErrClosed {
				t.Errorf("Write after Detach: %v", err)
			}
			return 4
		}
		k.closed = func(Handle, error) { t.Error("Close of a detached connection") }
	})
	c := dial(t, addr)
	for _, s := range []string{"head", "body body"} {
		if _, err := c.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond) // two packets, so that some are kept; one would do as well
	}
	got := take(t, "Detach", out)
	await(t, "the slot", func() bool { return p.Conns() == 0 })
	if string(got.rest) != "body body" {
		t.Fatalf("rest %q", got.rest)
	}
	f := os.NewFile(uintptr(got.fd), "detached")
	nc, err := net.FileConn(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	go nc.Write([]byte("from the other side"))
	reply := make([]byte, len("bye from the other side"))
	if _, err := io.ReadFull(c, reply); err != nil || string(reply) != "bye from the other side" {
		t.Fatalf("%q, %v", reply, err)
	}
	go c.Write([]byte("on"))
	if n, err := nc.Read(reply); err != nil || string(reply[:n]) != "on" {
		t.Fatalf("%q, %v", reply[:n], err)
	}
}

func TestDetachRefusesToLoseBytes(t *testing.T) {
	var handle atomic.Uint64
	p, addr := serve(t, Config{}, func(k *hooks) {
		k.read = func(h Handle, _ []byte) int { handle.Store(uint64(h)); return 0 }
	})
	c := dial(t, addr)
	if _, err := c.Write([]byte("kept")); err != nil {
		t.Fatal(err)
	}
	await(t, "Read", func() bool { return handle.Load() != 0 })
	l := p.Loops()[0]
	on(t, l, func() {
		if err := l.Detach(Handle(handle.Load()), nil); err != ErrHeld {
			t.Errorf("Detach: %v, want ErrHeld", err)
		}
	})
}

// TestStaleHandles: a handle of a connection that is gone reaches nobody, also
// when its slot has a new user.
func TestStaleHandles(t *testing.T) {
	opened := make(chan Handle, 4)
	closed := make(chan Handle, 4)
	p, addr := serve(t, Config{}, func(k *hooks) {
		k.open = func(h Handle, _ int, _ netip.AddrPort) { opened <- h }
		k.closed = func(h Handle, _ error) { closed <- h }
	})
	l := p.Loops()[0]
	c := dial(t, addr)
	old := take(t, "Open", opened)
	c.Close()
	take(t, "Close", closed)
	on(t, l, func() { // make the freed slot the next to be used
		for l.slab.freeFirst-1 != old.Slot() {
			s, _ := l.slab.take()
			l.slab.give(s)
		}
	})
	c = dial(t, addr)
	h := take(t, "Open", opened)
	if h.Slot() != old.Slot() || h == old {
		t.Fatalf("handles %x and %x, want the same slot in another generation", old, h)
	}
	on(t, l, func() {
		if err := l.Write(old, []byte("for someone else")); err != ErrClosed {
			t.Errorf("Write: %v", err)
		}
		if err := l.Detach(old, nil); err != ErrClosed {
			t.Errorf("Detach: %v", err)
		}
		l.Pause(old)
		l.SetTimer(old, time.Nanosecond)
		l.CloseAfterFlush(old)
		l.Abort(old)
		for _, alien := range []Handle{0, h + 1<<56, h + 1<<20} {
			l.Abort(alien)
		}
	})
	echoOnce(t, c, []byte("unharmed"))
}

// TestGenerationNeverZero: slot and generation 0 would make a valid handle of
// loop 0 the zero Handle.
func TestGenerationNeverZero(t *testing.T) {
	var s slab
	slot, c := s.take()
	c.gen = genMask
	s.give(slot)
	if g := s.at(slot).gen; g != 1 {
		t.Fatalf("generation after the last is %d, want 1", g)
	}
}

// TestCloseAfterFlush: a peer that is still sending gets our last bytes and an
// end of stream, not a reset.
func TestCloseAfterFlush(t *testing.T) {
	closed := make(chan error, 1)
	_, addr := serve(t, Config{Linger: 5 * time.Second, WriteMax: 4 << 20}, func(k *hooks) {
		k.read = func(h Handle, b []byte) int {
			if err := k.l.Write(h, random(3_000_000)); err != nil {
				t.Error(err)
			}
			k.l.CloseAfterFlush(h)
			if err := k.l.Write(h, b); err != ErrClosed {
				t.Errorf("Write while closing: %v", err)
			}
			return 0
		}
		k.closed = func(_ Handle, err error) { closed <- err }
	})
	c := dial(t, addr)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		c.Write(make([]byte, 5_000_000))
		c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, random(3_000_000)) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if err := take(t, "Close", closed); err != nil {
		t.Fatalf("Close(%v)", err)
	}
	<-sent
}

func TestLingerEnds(t *testing.T) {
	closed := make(chan error, 1)
	_, addr := serve(t, Config{Linger: 60 * time.Millisecond, Tick: 5 * time.Millisecond}, func(k *hooks) {
		k.open = func(h Handle, _ int, _ netip.AddrPort) { k.l.CloseAfterFlush(h) }
		k.closed = func(_ Handle, err error) { closed <- err }
	})
	dial(t, addr)
	if err := take(t, "Close", closed); err != ErrLinger {
		t.Fatalf("Close(%v), want ErrLinger", err)
	}
}

// TestHalfClose: a peer that closes its side early still gets what is queued.
func TestHalfClose(t *testing.T) {
	closed := make(chan error, 1)
	_, addr := serve(t, Config{Linger: 5 * time.Second, WriteMax: 8 << 20}, func(k *hooks) {
		k.read = func(h Handle, b []byte) int {
			if err := k.l.Write(h, random(6_000_000)); err != nil {
				t.Error(err)
			}
			return len(b)
		}
		k.closed = func(_ Handle, err error) { closed <- err }
	})
	c := dial(t, addr)
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, random(6_000_000)) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if err := take(t, "Close", closed); err != io.EOF {
		t.Fatalf("Close(%v), want EOF", err)
	}
}

// TestAbortWithinRead: Close comes once, after Read has returned.
func TestAbortWithinRead(t *testing.T) {
	inRead := false
	closed := make(chan error, 2)
	_, addr := serve(t, Config{}, func(k *hooks) {
		k.read = func(h Handle, _ []byte) int {
			inRead = true
			k.l.Abort(h)
			k.l.Abort(h)
			inRead = false
			return 0
		}
		k.closed = func(_ Handle, err error) {
			if inRead {
				t.Error("Close within Read")
			}
			closed <- err
		}
	})
	c := dial(t, addr)
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := take(t, "Close", closed); err != ErrAborted {
		t.Fatalf("Close(%v)", err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
		t.Fatalf("peer sees %v, want a reset", err)
	}
	if len(closed) != 0 {
		t.Fatal("Close came twice")
	}
}

// TestPausedByAnother: a connection that another one pauses while its own
// bytes are already reported is neither read nor ended.
func TestPausedByAnother(t *testing.T) {
	oneTable(t)
	opened := make(chan Handle, 2)
	read := make(chan Handle, 4)
	var all []Handle
	p, addr := serve(t, Config{}, func(k *hooks) {
		k.open = func(h Handle, _ int, _ netip.AddrPort) { all = append(all, h); opened <- h }
		k.read = func(h Handle, b []byte) int {
			for _, o := range all {
				if o != h {
					k.l.Pause(o)
				}
			}
			read <- h
			return len(b)
		}
	})
	l := p.Loops()[0]
	a, b := rawDial(t, addr), rawDial(t, addr)
	defer unix.Close(a)
	defer unix.Close(b)
	take(t, "Open", opened)
	take(t, "Open", opened)
	on(t, l, func() { // both are readable before the loop looks again
		for _, fd := range []int{a, b} {
			writeAll(t, fd, []byte("x"))
		}
		for _, h := range all {
			pfd := []unix.PollFd{{Fd: l.slab.at(h.Slot()).fd, Events: unix.POLLIN}}
			if n, err := unix.Poll(pfd, 5000); n != 1 || err != nil {
				t.Error(n, err)
			}
		}
	})
	first := take(t, "the first Read", read)
	on(t, l, func() {})
	if len(read) != 0 || p.Conns() != 2 {
		t.Fatalf("%d more reads, %d connections, want none and 2", len(read), p.Conns())
	}
	on(t, l, func() {
		for _, h := range all {
			l.Resume(h)
		}
	})
	if h := take(t, "the other Read", read); h == first {
		t.Fatal("the first was read again")
	}
}
