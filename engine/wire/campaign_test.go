package wire

import (
	"bytes"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"
)

// TestCampaign runs mutated inputs through every parser of the package: EYRIE_FUZZ says how many, 20,000 by default,
// EYRIE_FUZZ_SEED from which seed. None may panic, keep a parser longer than a second, or make it allocate more than a
// fixed multiple of its size. It prints how many ran.
func TestCampaign(t *testing.T) {
	n, seed := 20_000, uint64(1)
	if s := os.Getenv("EYRIE_FUZZ"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	if s := os.Getenv("EYRIE_FUZZ_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	pool := campaignPool()
	rnd := rand.New(rand.NewPCG(seed, 0x66757a7a))
	var c campaign
	var in []byte
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	runtime.LockOSThread() // whose time is measured, not that of others on the machine
	defer runtime.UnlockOSThread()
	began, bytesIn := time.Now(), uint64(0)
	for i := range n {
		in = mutate(rnd, append(in[:0], pool[rnd.IntN(len(pool))]...), pool)
		bytesIn += uint64(len(in))
		at := threadTime()
		func() {
			defer func() {
				if r := recover(); r != nil {
					t.Fatalf("input %d of seed %d, %q: %v", i, seed, in, r)
				}
			}()
			c.run(i, in)
		}()
		d := threadTime() - at
		for range 3 { // what the hypervisor takes may count
			if d > time.Second {
				at = threadTime()
				c.run(i, in)
				d = threadTime() - at
			}
		}
		if d > time.Second {
			t.Fatalf("input %d of seed %d, %d bytes, took %v", i, seed, len(in), d)
		}
	}
	runtime.ReadMemStats(&after)
	if got, most := after.TotalAlloc-before.TotalAlloc, 64*bytesIn+uint64(n)*4096+64<<20; got > most {
		t.Fatalf("%d bytes were allocated for %d bytes of input, want at most %d", got, bytesIn, most)
	}
	t.Logf("%d inputs of seed %d in %v: %d taken as messages, %d events good, %d refused", n, seed, time.Since(began).Round(time.Millisecond), c.messages, c.good, c.refused)
	if c.messages == 0 || c.good == 0 || c.refused == 0 {
		t.Fatal("the mutations miss the borders")
	}
}

// campaign is the parsers, each kept for all of its inputs as a loop keeps its own.
type campaign struct {
	p                       Parser
	m                       Message
	h                       Head
	v                       View
	s                       ServerMessage
	out                     []byte
	messages, good, refused int
}

// run gives the input to each codec's parsers in turn, and always to the View.
func (c *campaign) run(i int, in []byte) {
	codec := Codec(i % int(codecCount))
	parse := c.p.Parse
	if i/int(codecCount)%2 == 1 {
		parse = c.p.ParseBatch
	}
	if parse(codec, in, &c.m) == nil {
		c.messages++
		for {
			payload, e, more := c.p.NextEvent(codec, &c.m, &c.h)
			if !more {
				break
			}
			if e != nil {
				c.refused++
				continue
			}
			c.good++
			if c.v.Reset(payload) != nil || c.v.Type() != c.h.Type {
				panic("an event that was taken is not read as it was")
			}
			c.out, _ = AppendEventJSON(c.out[:0], payload)
			c.out, _ = AppendEventProto(c.out[:0], payload)
		}
	}
	if ParseServer(codec, in, &c.s) == nil && c.s.OpName == "" {
		panic("a message without op")
	}
	if c.v.Reset(in) == nil {
		c.v.TS()
		c.v.Usage()
		c.v.State()
		for f := FType; f < fieldCount; f++ {
			c.v.Str(f)
			c.v.Float(f)
		}
	}
}

func campaignPool() (pool [][]byte) {
	for c := range codecCount {
		for _, b := range goldenMessages(c) {
			pool = append(pool, b)
		}
	}
	pool = append(append(pool, seeds()...), protoSeeds()...)
	for _, text := range seedTexts {
		pool = append(pool, []byte(text), []byte(`{"op":"events","seq":1,"events":[`+text+`,{"type":"log"}]}`))
	}
	return pool
}

// mutate changes in by a few of: bytes, bits, cuts, repeats, pieces of other inputs, and lengths that lie.
func mutate(rnd *rand.Rand, in []byte, pool [][]byte) []byte {
	for range 1 + rnd.IntN(4) {
		if len(in) == 0 {
			return append(in, pool[rnd.IntN(len(pool))]...)
		}
		at := rnd.IntN(len(in))
		switch rnd.IntN(8) {
		case 0, 1:
			in[at] = byte(rnd.Uint32())
		case 2:
			in[at] ^= 1 << rnd.IntN(8)
		case 3:
			in = in[:at]
		case 4:
			end := at + rnd.IntN(min(len(in)-at, 64)) + 1
			in = append(in, bytes.Repeat(in[at:end], 1+rnd.IntN(8))...)
		case 5:
			other := pool[rnd.IntN(len(pool))]
			if len(other) > 0 {
				from := rnd.IntN(len(other))
				in = append(in[:at], other[from:]...)
			}
		case 6:
			claims := [...]string{"\xdd\xff\xff\xff\xff", "\xdf\x7f\xff\xff\xff", "\xdb\xff\xff\xff\xff", "\xff\xff\xff\xff\x0f", "\x7f", "[[[[[[[[", "{\"\":"}
			in = append(in[:at], append([]byte(claims[rnd.IntN(len(claims))]), in[at:]...)...)
		case 7:
			in = append(in[:at], in[min(len(in), at+1+rnd.IntN(8)):]...)
		}
		if len(in) > 64<<10 {
			in = in[:64<<10]
		}
	}
	return in
}
