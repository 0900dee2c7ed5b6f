//go:build linux

package netpoll

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestWheelAgainstNaive compares the wheel with a map of deadlines, also
// across the wrap of ticks and jumps longer than the wheel.
func TestWheelAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s slab
		start := rapid.SampledFrom([]uint32{0, 1, wheelSlots - 1, 1<<31 - 5, ^uint32(0) - 3000}).Draw(t, "start")
		w := wheel{s: &s, tick: start}
		const conns = 20
		for range conns {
			s.take()
		}
		want := map[uint32]int64{} // slot → ticks since start
		now := int64(0)
		tick := func() uint32 { return start + uint32(now) }
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				slot := rapid.Uint32Range(0, conns-1).Draw(t, "slot")
				in := rapid.SampledFrom([]int64{-1, 0, 1, 2, 7, 63, 64, 65, wheelSlots - 1, wheelSlots, wheelSlots + 1, 3 * wheelSlots, 100_000}).Draw(t, "in")
				at := tick() + uint32(in)
				w.set(slot, at)
				due := now + max(1, in)
				if in > 0 && at == 0 {
					due++ // tick 0 stands for off
				}
				want[slot] = due
			},
			"off": func(t *rapid.T) {
				slot := rapid.Uint32Range(0, conns-1).Draw(t, "slot")
				w.off(slot)
				delete(want, slot)
			},
			"advance": func(t *rapid.T) {
				now += rapid.SampledFrom([]int64{0, 1, 1, 1, 2, 60, 64, 1000, wheelSlots, 10_000}).Draw(t, "by")
				check(t, &w, want, tick(), now)
			},
			"wait": func(t *rapid.T) {
				n := w.wait()
				if (n == 0) != (w.count == 0) {
					t.Fatalf("wait %d with %d entries", n, w.count)
				}
				for slot, at := range want {
					if at-now < int64(n) {
						t.Fatalf("would sleep %d ticks, slot %d is due in %d", n, slot, at-now)
					}
				}
				now += int64(n)
				check(t, &w, want, tick(), now)
			},
		})
	})
}

func check(t *rapid.T, w *wheel, want map[uint32]int64, tick uint32, now int64) {
	for _, slot := range w.advance(tick, nil) {
		at, ok := want[slot]
		if !ok || at > now {
			t.Fatalf("slot %d fired at %d, want %d (%v)", slot, now, at, ok)
		}
		delete(want, slot)
	}
	for slot, at := range want {
		if at <= now && !(at == now && w.s.at(slot).at != 0 && int32(w.s.at(slot).at-tick) > 0) {
			t.Fatalf("slot %d did not fire at %d, due %d", slot, now, at)
		}
	}
	if w.count < len(want) {
		t.Fatalf("%d entries for %d timers", w.count, len(want))
	}
}

// TestTimers drives the timers of a running loop by an injected clock.
func TestTimers(t *testing.T) {
	var clock atomic.Int64
	clock.Store(1e15)
	opened, fired := make(chan Handle, 1), make(chan Handle, 8)
	p, addr := serve(t, Config{Now: clock.Load, Tick: 10 * time.Millisecond}, func(k *hooks) {
		k.open = func(h Handle, _ int, _ netip.AddrPort) { opened <- h }
		k.timeout = func(h Handle) { fired <- h }
	})
	l := p.Loops()[0]
	dial(t, addr)
	h := take(t, "Open", opened)
	set := func(d time.Duration) { on(t, l, func() { l.SetTimer(h, d) }) }
	pass := func(d time.Duration) { // two rounds, so that a whole cycle saw the new time
		clock.Add(int64(d))
		on(t, l, func() {})
		on(t, l, func() {})
	}
	quiet := func(when string) {
		t.Helper()
		if len(fired) != 0 {
			t.Fatalf("fired %s", when)
		}
	}
	set(time.Second)
	pass(999 * time.Millisecond)
	quiet("a millisecond early")
	pass(11 * time.Millisecond)
	if take(t, "Timeout", fired) != h {
		t.Fatal("fired for another connection")
	}
	pass(time.Hour)
	quiet("twice")

	set(time.Second)
	for range 50 { // put off by each message
		pass(900 * time.Millisecond)
		set(time.Second)
	}
	quiet("although it was put off")
	set(0)
	pass(time.Hour)
	quiet("although it is off")

	set(time.Hour)
	set(20 * time.Millisecond)
	pass(30 * time.Millisecond)
	take(t, "Timeout brought forward", fired)
}

// TestTimerWakesTheLoop uses the real clock: a sleeping loop wakes by itself.
func TestTimerWakesTheLoop(t *testing.T) {
	fired := make(chan int64, 1)
	var begin int64
	_, addr := serve(t, Config{Tick: 5 * time.Millisecond}, func(k *hooks) {
		k.open = func(h Handle, _ int, _ netip.AddrPort) {
			begin = k.l.Now() // which the timer goes by
			k.l.SetTimer(h, 30*time.Millisecond)
		}
		k.timeout = func(Handle) { fired <- k.l.Now() }
	})
	dial(t, addr)
	if d := time.Duration(take(t, "Timeout", fired) - begin); d < 29*time.Millisecond {
		t.Fatalf("fired after %v, want 30 ms", d)
	}
}

// TestWakesCoalesce: while the loop is busy, a thousand wakes are one call;
// and none is lost.
func TestWakesCoalesce(t *testing.T) {
	var wakes atomic.Int64
	p, _ := serve(t, Config{}, func(k *hooks) { k.wake = func() { wakes.Add(1) } })
	l := p.Loops()[0]
	before := wakes.Load()
	on(t, l, func() {
		for range 1000 {
			l.Wake()
		}
	})
	await(t, "the wake", func() bool { return wakes.Load() == before+2 })
	on(t, l, func() {})
	if n := wakes.Load() - before; n > 3 {
		t.Fatalf("%d calls for 1,000 wakes", n)
	}
	for i := range 2000 { // each must arrive, from sleep or on the way into it
		n := wakes.Load()
		l.Wake()
		await(t, "a wake", func() bool { return wakes.Load() > n })
		if i%100 == 0 {
			time.Sleep(time.Millisecond) // let it fall asleep now and then
		}
	}
}
