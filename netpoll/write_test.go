//go:build linux

package netpoll

import (
	"bytes"
	"io"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestWriteQueueIsBounded: a reader that does not read costs WriteMax and no
// more; when it reads, every byte accepted comes, in order, and Drained says so.
func TestWriteQueueIsBounded(t *testing.T) {
	const writeMax = 200_000
	opened := make(chan Handle, 1)
	drained := make(chan Handle, 1)
	p, addr := serve(t, Config{WriteMax: writeMax}, func(k *hooks) {
		k.open = func(h Handle, _ int, _ netip.AddrPort) { opened <- h }
		k.drained = func(h Handle) { drained <- h }
	})
	l := p.Loops()[0]
	c := dial(t, addr)
	h := take(t, "Open", opened)
	var accepted []byte
	on(t, l, func() {
		for i := 0; ; i++ {
			b := bytes.Repeat([]byte{byte(i)}, 1+i*37%9000)
			err := l.Write(h, b)
			if q := l.Queued(h); q > writeMax {
				t.Errorf("%d bytes queued, bound %d", q, writeMax)
			}
			if err == ErrWriteFull {
				break
			}
			if err != nil {
				t.Errorf("Write: %v", err)
				break
			}
			accepted = append(accepted, b...)
		}
		// Each size of a queue's cells may have one arena that is nearly empty.
		if sizes := classOf(queueCellMax) - classOf(queueCellMin) + 1; l.cells.bytes > 2*writeMax+sizes*arenaBytes {
			t.Errorf("%d bytes of cells for %d queued", l.cells.bytes, l.Queued(h))
		}
		if err := l.Write(h, make([]byte, writeMax+1)); err != ErrWriteFull {
			t.Errorf("Write above WriteMax: %v", err)
		}
	})
	got := make([]byte, len(accepted))
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, accepted) {
		t.Fatal("bytes differ")
	}
	if take(t, "Drained", drained) != h {
		t.Fatal("Drained for another connection")
	}
	on(t, l, func() {
		if q := l.Queued(h); q != 0 {
			t.Errorf("%d queued after Drained", q)
		}
		if l.cells.trim(); l.cells.bytes != 0 {
			t.Errorf("%d bytes of cells left", l.cells.bytes)
		}
		if l.slab.at(h.Slot()).has(isArmedOut) {
			t.Error("still watched for room")
		}
	})
}

// TestOneSendPerRead: however many writes one Read makes, the kernel is called
// once.
func TestOneSendPerRead(t *testing.T) {
	p, addr := serve(t, Config{}, func(k *hooks) {
		k.read = func(h Handle, b []byte) int {
			for i := range b {
				if err := k.l.Write(h, b[i:i+1]); err != nil {
					t.Error(err)
				}
			}
			return len(b)
		}
	})
	c := dial(t, addr)
	echoOnce(t, c, random(1000))
	await(t, "the counters", func() bool { return p.n.sendBytes.Get() == 1000 })
	if s, r := p.n.sends.Get(), p.n.reads.Get(); s != r {
		t.Fatalf("%d sends for %d reads", s, r)
	}
}

// TestWritesToManyInOneWake interleaves writes to two connections: each gets
// its own bytes in order.
func TestWritesToManyInOneWake(t *testing.T) {
	opened := make(chan Handle, 2)
	p, addr := serve(t, Config{}, func(k *hooks) {
		k.open = func(h Handle, _ int, _ netip.AddrPort) { opened <- h }
	})
	l := p.Loops()[0]
	a := dial(t, addr)
	ha := take(t, "Open", opened)
	b := dial(t, addr)
	hb := take(t, "Open", opened)
	on(t, l, func() {
		for i := range 100 {
			for _, w := range []error{l.Write(ha, []byte{byte(i)}), l.Write(hb, []byte{byte(200 - i)})} {
				if w != nil {
					t.Error(w)
				}
			}
		}
	})
	ga, gb := make([]byte, 100), make([]byte, 100)
	if _, err := io.ReadFull(a, ga); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(b, gb); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if ga[i] != byte(i) || gb[i] != byte(200-i) {
			t.Fatalf("byte %d: %d and %d", i, ga[i], gb[i])
		}
	}
}

// TestSlowReaderHoldsUpNobody: one connection is blocked with a full queue
// while another goes on.
func TestSlowReaderHoldsUpNobody(t *testing.T) {
	var refused atomic.Int64
	_, addr := serve(t, Config{WriteMax: 1 << 20}, func(k *hooks) {
		k.read = func(h Handle, b []byte) int {
			if len(b) == 1 { // flood
				for k.l.Write(h, make([]byte, 60_000)) == nil {
				}
				refused.Add(1)
				return 1
			}
			if err := k.l.Write(h, b); err != nil {
				t.Error(err)
			}
			return len(b)
		}
	})
	slow, quick := dial(t, addr), dial(t, addr)
	if _, err := slow.Write([]byte{0}); err != nil {
		t.Fatal(err)
	}
	await(t, "a full queue", func() bool { return refused.Load() == 1 })
	for range 100 {
		echoOnce(t, quick, []byte("quick"))
	}
	n, err := io.CopyN(io.Discard, slow, 1<<20)
	if err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
}

// TestTransform passes everything through a stage that changes bytes, adds to
// them, speaks by itself and has a last word.
func TestTransform(t *testing.T) {
	stage := &doubler{closed: make(chan Handle, 2)}
	_, addr := serve(t, Config{Linger: 5 * time.Second, Transform: func(*Loop) Transform { return stage }}, func(k *hooks) {
		k.read = framed(k, func(h Handle, p []byte) {
			if err := k.l.Detach(h, nil); err != ErrTransformed {
				t.Errorf("Detach: %v", err)
			}
			if err := k.l.Write(h, p); err != nil {
				t.Error(err)
			}
			if string(p) == "end" {
				k.l.CloseAfterFlush(h)
			}
		})
	})
	c := dial(t, addr)
	for _, s := range []string{"\x05\x00", "\x00\x00he", "llo\x03\x00\x00", "\x00end"} {
		if _, err := c.Write(double([]byte(s))); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if want := "<" + string(double([]byte("helloend"))) + ">"; string(got) != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	take(t, "the stage's Close", stage.closed)

	c = dial(t, addr)
	if _, err := c.Write([]byte("abab")); err != nil { // not doubled
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || string(got) != "<" {
		t.Fatalf("got %q, %v, want the greeting and the end", got, err)
	}
	take(t, "the stage's Close", stage.closed)
}

// doubler sends each byte twice, in brackets.
type doubler struct {
	odd     []byte
	greeted bool
	closed  chan Handle
}

func double(p []byte) []byte {
	var out []byte
	for _, b := range p {
		out = append(out, b, b)
	}
	return out
}

func (d *doubler) Open(Handle, int) bool { d.odd, d.greeted = nil, false; return true }

func (d *doubler) In(_ Handle, dst, raw []byte) (plain, reply []byte, err error) {
	if !d.greeted {
		d.greeted, reply = true, []byte("<")
	}
	d.odd = append(d.odd, raw...)
	for len(d.odd) >= 2 {
		if d.odd[0] != d.odd[1] {
			return dst, reply, io.ErrUnexpectedEOF
		}
		dst, d.odd = append(dst, d.odd[0]), d.odd[2:]
	}
	return dst, reply, nil
}

func (d *doubler) Out(_ Handle, dst, plain []byte) ([]byte, error) {
	return append(dst, double(plain)...), nil
}

func (d *doubler) Final(_ Handle, dst []byte) []byte { return append(dst, '>') }

func (d *doubler) Close(h Handle) { d.closed <- h }

// TestPartialSends squeezes much through small kernel buffers, so that sends
// end anywhere in a cell.
func TestPartialSends(t *testing.T) {
	want := random(1 << 20)
	drained := make(chan Handle, 1)
	p, addr := serve(t, Config{WriteMax: 1 << 20}, func(k *hooks) {
		k.open = func(h Handle, _ int, _ netip.AddrPort) {
			if err := unix.SetsockoptInt(int(k.l.slab.at(h.Slot()).fd), unix.SOL_SOCKET, unix.SO_SNDBUF, 10_000); err != nil {
				t.Error(err)
			}
			for rest := want; len(rest) > 0; {
				n := min(len(rest), 7000)
				if err := k.l.Write(h, rest[:n]); err != nil {
					t.Error(err)
				}
				rest = rest[n:]
			}
		}
		k.drained = func(h Handle) { drained <- h }
	})
	fd := rawSocket(t)
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 5000); err != nil {
		t.Fatal(err)
	}
	if err := rawConnect(fd, addr); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 0, len(want))
	for b := make([]byte, 3001); len(got) < len(want); {
		n, err := unix.Read(fd, b)
		if n <= 0 {
			t.Fatal(n, err)
		}
		got = append(got, b[:n]...)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("bytes differ")
	}
	take(t, "Drained", drained)
	if n := p.n.sends.Get(); n < 50 {
		t.Fatalf("%d sends: the buffers were not small enough to test anything", n)
	}
}
