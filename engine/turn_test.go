//go:build linux

package engine

import (
	"bytes"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"eyrie/engine/wire"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"
)

// turnMax is the processor time that one turn of one link may take: what the
// others on its loop wait at most for it. It is generous, for slow machines;
// the log says what it was.
const turnMax = 20 * time.Millisecond

// turnTries is how often a case is fed again while a turn of it took longer.
// The host's interruptions count as the thread's own time, and a turn that is
// itself too long is so each time.
const turnTries = 5

// threadTime is the processor time of the calling thread.
func threadTime(t *testing.T) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		t.Fatal(err)
	}
	return time.Duration(ts.Nano())
}

// TestTurnsAreShort feeds one link with what costs the most per byte, and takes
// the time of each turn.
func TestTurnsAreShort(t *testing.T) {
	if raceOn {
		t.Skip("the race detector slows everything")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // its assists are the test's own
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	tables := deflated(t, samples()[7][:300], 9)
	nothing := bytes.Repeat([]byte{0, 0, 0, 0xff, 0xff}, 12_000)
	nothing = nothing[:len(nothing)-len(inflateTail)]
	op := func(codec wire.Codec) []byte {
		return frameOf(codec, []byte(`{"op":"x"}`))
	}
	for _, c := range []struct {
		name  string
		agent bool
		in    []byte
		total int // bytes of in, again and again
	}{
		{"empty messages", false, clientFrame(0x81, nil), 1 << 20},
		{"pings", false, clientFrame(0x89, nil), 1 << 20},
		{"pongs", false, clientFrame(0x8a, nil), 1 << 20},
		{"large pings", false, clientFrame(0x89, make([]byte, 125)), 1 << 20},
		{"empty parts", false, append(clientFrame(0x01, nil), bytes.Repeat(clientFrame(0x00, nil), 50_000)...), 1 << 20},
		{"parts of a byte", false, append(append(clientFrame(0x01, nil), bytes.Repeat(clientFrame(0x00, []byte{'x'}), 60_000)...), clientFrame(0x80, nil)...), 1 << 20},
		{"compressed: much of little", false, clientFrame(0xc2, deflated(t, make([]byte, 1<<16), 9)), 16 << 10},
		{"compressed: a little each", false, clientFrame(0xc2, tables), 512 << 10},
		{"compressed: nothing at all", false, clientFrame(0xc2, nothing), 512 << 10},
		{"compressed: a byte each", false, clientFrame(0xc1, deflated(t, []byte("x"), 6)), 512 << 10},
		{"text", false, clientFrame(0x81, bytes.Repeat([]byte("\u20ac"), 1<<14)), 1 << 20},
		{"unknown ops", true, op(wire.JSON), 1 << 20},
		{"no events", true, frameOf(wire.JSON, []byte(`{"op":"events","seq":1,"events":[]}`)), 1 << 20},
		{"refused events", true, frameOf(wire.JSON, []byte(`{"op":"events","seq":1,"events":[`+strings.Repeat("{},", 4000)+`{}]}`)), 1 << 20},
	} {
		least := turnTimes(t, c.agent, c.in, c.total)
		for range turnTries - 1 {
			if slices.Max(least) <= turnMax {
				break
			}
			again := turnTimes(t, c.agent, c.in, c.total)
			if len(again) != len(least) {
				t.Fatalf("%s: %d turns, and %d when fed again", c.name, len(least), len(again))
			}
			for i, d := range again {
				least[i] = min(least[i], d)
			}
		}
		longest := slices.Max(least)
		t.Logf("%-28s %8v the longest of %d", c.name, longest.Round(time.Microsecond), len(least))
		if longest > turnMax {
			t.Errorf("%s: a turn of %v", c.name, longest)
		}
	}
}

// turnTimes is the time of each turn of one link that is fed, a read buffer at
// a time, total bytes of in, again and again.
func turnTimes(t *testing.T, agent bool, in []byte, total int) []time.Duration {
	runtime.GC()
	r, rec := deflateRig(t, nil)
	rec.then = func(s Socket, op ws.OpCode, p []byte) {
		rec.got = rec.got[:0]
		s.Answer(ws.OpText, []byte(`{"op":"error","detail":"such a message is none"}`))
	}
	var conn *rigConn
	if agent {
		conn = r.agent(wire.JSON, "a")
	} else {
		conn = r.openDeflate("permessage-deflate")
	}
	in = bytes.Repeat(in, total/len(in)+1)
	var times []time.Duration
	call := func(fn func()) {
		from := threadTime(t)
		fn()
		times = append(times, threadTime(t)-from)
	}
	for len(in) > 0 && !conn.ended && len(times) < 1000 {
		n := min(len(in), r.srv.cfg.Poll.ReadBuffer)
		b := append(conn.tail[:len(conn.tail):len(conn.tail)], in[:n]...)
		in = in[n:]
		for again := true; again && !conn.ended; {
			used := 0
			call(func() { used = r.l.Read(conn.h, b) })
			r.flushBatch()
			b = b[used:]
			again, conn.again, conn.paused = conn.again && len(b) > 0, false, false
			for r.woken {
				r.woken = false
				call(r.l.Wake)
				r.flushBatch()
			}
			if lk := r.l.links.at(conn.h); lk != nil && lk.flags&linkFull != 0 {
				r.items()
				call(r.l.Wake)
				again = len(b) > 0
			} else if used == 0 && len(b) >= n {
				again = len(b) > joinFrom // it was paused and goes on
			}
		}
		conn.tail = b
		conn.out = conn.out[:0]
	}
	return times
}
