package admit

import (
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestBucket(t *testing.T) {
	var b Bucket
	now := int64(time.Hour)
	if w := b.Take(now, 100, 1000); w != 100*time.Millisecond-Burst {
		t.Errorf("after 100 ms worth: %v", w)
	}
	if w := b.Take(now, 250, 1000); w != 100*time.Millisecond {
		t.Errorf("after 350 ms worth: %v", w)
	}
	if b.Full(now) || !b.Full(now+int64(350*time.Millisecond)) {
		t.Error("Full")
	}
	if w := b.Take(now, 1e9, 1000); w != waitMax {
		t.Errorf("a huge frame waits %v", w)
	}
	if w := b.Take(now, 1, 0); w != waitMax {
		t.Errorf("at no rate: %v", w)
	}
}

// TestBucketHoldsItsRate: whoever waits as told takes no more than the rate and
// one burst, however he takes.
func TestBucketHoldsItsRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Float64Range(10, 1e6).Draw(t, "rate")
		var b Bucket
		var s SharedBucket
		now, sum, most := int64(1), 0.0, 0.0
		for range 300 {
			n := rate * rapid.Float64Range(0, 0.5).Draw(t, "n")
			w := b.Take(now, n, rate)
			if x := s.Take(now, n, rate); x != w {
				t.Fatalf("shared %v, own %v", x, w)
			}
			sum, most = sum+n, max(most, n)
			now += int64(max(w, 0)) + rapid.Int64Range(0, 1e8).Draw(t, "idle")
		}
		if bound := rate*(time.Duration(now).Seconds()+Burst.Seconds()) + most; sum > bound*1.001 {
			t.Fatalf("took %.0f in %v at %.0f/s, bound %.0f", sum, time.Duration(now), rate, bound)
		}
	})
}

// plant is a log of a fixed capacity behind a queue, and links that offer.
type plant struct {
	c               Control
	now             int64
	stored, taken   float64
	queue, room     float64
	capacity        float64
	cpu             float64
	rates           Rates
	lowest, highest float64 // share of the capacity stored, second by second
}

// run offers from links, each in events a second, for d; who is above his rate
// waits.
func (p *plant) run(d time.Duration, offers ...float64) (got []float64) {
	const dt = 0.1
	got = make([]float64, len(offers))
	p.lowest, p.highest = 2, 0
	second := 0.0
	for i := range int(d.Seconds() / dt) {
		held, in := false, 0.0
		room := p.room - p.queue + p.capacity*dt
		// The total holds those whose own bucket is not full, as the engine has it.
		modest, greedy := 0.0, 0.0
		for _, o := range offers {
			if o < p.agent() {
				modest += o
			} else {
				greedy += p.agent()
			}
		}
		scale := 1.0
		if p.rates.Limited() && modest+greedy > p.rates.Total {
			scale, held = max(p.rates.Total-modest, 0)/greedy, true
		}
		for j, o := range offers {
			x := o * dt
			if o >= p.agent() {
				x, held = p.agent()*scale*dt, true
			}
			x = min(x, room)
			room -= x
			in += x
			got[j] += x
		}
		out := min(p.queue+in, p.capacity*dt)
		p.queue += in - out
		p.stored, p.taken = p.stored+out, p.taken+in
		second += out
		p.now += int64(dt * 1e9)
		p.rates = p.c.Update(p.now, Reading{CPU: p.cpu, Queue: p.queue / p.room, Stored: uint64(p.stored), Taken: uint64(p.taken), Held: held && p.rates.Limited()})
		if i%10 == 9 {
			if i > 100 {
				p.lowest, p.highest = min(p.lowest, second/p.capacity), max(p.highest, second/p.capacity)
			}
			second = 0
		}
	}
	for j := range got {
		got[j] /= d.Seconds()
	}
	return got
}

func (p *plant) agent() float64 {
	if p.rates.Limited() {
		return p.rates.Agent
	}
	return math.Inf(1)
}

func newPlant(capacity, cpu float64) *plant {
	return &plant{now: 1, capacity: capacity, room: capacity * 0.05, cpu: cpu}
}

// TestControlKeepsTheLogBusy: with far more offered than it takes, at whatever
// CPU the log shows at its limit, at least 90 % of the capacity are stored once
// the base is learned, and a change of capacity is followed.
func TestControlKeepsTheLogBusy(t *testing.T) {
	for _, cpu := range []float64{0.2, 0.6, 0.9, 1} {
		t.Run(fmt.Sprint("cpu=", cpu), func(t *testing.T) {
			p := newPlant(100_000, cpu)
			p.run(20*time.Second, 100_000, 100_000, 100_000)
			p.run(60*time.Second, 100_000, 100_000, 100_000)
			if p.lowest < 0.9 {
				t.Errorf("stored %.0f %% of the capacity in the worst second, base %.0f, factor %.2f", 100*p.lowest, p.c.Base(), p.c.Factor())
			}
			p.capacity, p.room = 300_000, 15_000
			p.run(20*time.Second, 300_000, 300_000, 300_000)
			p.run(20*time.Second, 300_000, 300_000, 300_000)
			if p.lowest < 0.9 {
				t.Errorf("of a greater capacity %.0f %% in the worst second", 100*p.lowest)
			}
		})
	}
}

// TestControlIsFair: who offers little gets all of it, who offers much an equal
// share of the rest.
func TestControlIsFair(t *testing.T) {
	p := newPlant(100_000, 0.5)
	offers := []float64{100, 1000, 10_000, 200_000, 400_000}
	p.run(40*time.Second, offers...)
	got := p.run(60*time.Second, offers...)
	for i := range 3 {
		if got[i] < offers[i]*0.97 {
			t.Errorf("who offers %.0f gets %.0f", offers[i], got[i])
		}
	}
	if r := got[3] / got[4]; r < 0.9 || r > 1.1 {
		t.Errorf("the greedy get %.0f and %.0f", got[3], got[4])
	}
}

func TestControlLimitsNothingWithoutPressure(t *testing.T) {
	p := newPlant(100_000, 0.9)
	p.run(30*time.Second, 20_000, 30_000)
	if p.rates.Limited() {
		t.Errorf("half the capacity is limited to %+v", p.rates)
	}
	p.run(30*time.Second, 200_000)
	if !p.rates.Limited() || p.rates.Critical <= 0 || p.rates.Critical > p.rates.Total/10 {
		t.Errorf("twice the capacity: %+v", p.rates)
	}
	p.run(40*time.Second, 1000)
	if p.rates.Limited() {
		t.Errorf("the pressure is gone, the limit is not: %+v", p.rates)
	}
}

// TestControlLeavesAnEqualPart: a burst of what many took together does not push
// the rate of one below its part of the total.
func TestControlLeavesAnEqualPart(t *testing.T) {
	var c Control
	stored, taken := uint64(0), uint64(0)
	for i := range int64(100) {
		stored, taken = stored+1000, taken+1000
		if i > 50 {
			taken += 100_000
		}
		r := c.Update((i+1)*1e8, Reading{Queue: 1, Stored: stored, Taken: taken, Agents: 50})
		if r.Limited() && r.Agent < r.Total/50*0.999 {
			t.Fatalf("one of 50 may send %.1f of %.1f", r.Agent, r.Total)
		}
	}
}

// TestControlStaysFinite: no reading makes a rate that is no number, or none.
func TestControlStaysFinite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c Control
		now := int64(0)
		f := rapid.OneOf(rapid.Float64Range(-1, 3), rapid.Just(math.NaN()))
		for range 100 {
			now += rapid.Int64Range(-1e8, 1e10).Draw(t, "dt")
			r := c.Update(now, Reading{
				CPU: f.Draw(t, "cpu"), Memory: f.Draw(t, "memory"), Queue: rapid.Float64Range(0, 3).Draw(t, "queue"),
				Stored: rapid.Uint64().Draw(t, "stored"), Taken: rapid.Uint64().Draw(t, "taken"), Critical: rapid.Uint64().Draw(t, "critical"), Held: rapid.Bool().Draw(t, "held"), Agents: rapid.IntRange(0, 1000).Draw(t, "agents"),
			})
			for _, x := range []float64{r.Total, r.Agent, r.Critical, c.Base(), c.Factor()} {
				if x != x || x < 0 || math.IsInf(x, 0) {
					t.Fatalf("%+v, base %v, factor %v", r, c.Base(), c.Factor())
				}
			}
			if c.Factor() < factorLeast || r.Agent > r.Total || r.Limited() && (r.Agent <= 0 || r.Critical <= 0) {
				t.Fatalf("%+v, factor %v", r, c.Factor())
			}
		}
	})
}

func TestBlocks(t *testing.T) {
	var b Blocks
	now := int64(time.Hour)
	for i, want := range []time.Duration{1, 2, 4, 8} {
		if got := b.Punish("a", now); got != want*time.Second {
			t.Errorf("time %d: %v", i, got)
		}
	}
	if b.Left("a", now+int64(3*time.Second)) != 5*time.Second || b.Left("a", now+int64(8*time.Second)) != 0 || b.Left("b", now) != 0 {
		t.Error("Left")
	}
	if got := b.Punish("a", now+int64(9*time.Second)); got != 16*time.Second {
		t.Errorf("again at once: %v", got)
	}
	later := now + int64(time.Hour)
	if b.Left("a", later) != 0 || b.Len() != 0 {
		t.Error("not forgotten")
	}
	for range 30 {
		b.Punish("a", later)
	}
	if got := b.Left("a", later); got != blockMax {
		t.Errorf("at most: %v", got)
	}
	for i := range blocksMax + 100 {
		b.Punish(fmt.Sprint(i), later)
	}
	if b.Len() > blocksMax || b.Left("a", later) == 0 {
		t.Errorf("%d remembered, the longest block: %v left", b.Len(), b.Left("a", later))
	}
}

func TestCrowd(t *testing.T) {
	for _, n := range []int{1, 2, 10, 65, 300, 500} {
		var c Crowd
		for range 3 {
			for i := range n {
				c.Add(fmt.Appendf(nil, "team-%05d/w%02d", i/13, i%13))
			}
		}
		if got := c.Count(); got < float64(n)*0.8-1 || got > float64(n)*1.2+1 {
			t.Errorf("%d ids count as %.1f", n, got)
		}
	}
}
