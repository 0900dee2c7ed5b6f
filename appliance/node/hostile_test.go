//go:build linux

package node_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"eyrie/appliance/access"
	"eyrie/appliance/config"
	"eyrie/engine/wire"

	"github.com/gobwas/ws"
)

// Hostile links do all the protocol lets them. What they take is bounded, they
// are closed with the right code, and the pongs of others come as before.

// hostileFor is how long each flood lasts.
func hostileFor() time.Duration {
	if testing.Short() {
		return 200 * time.Millisecond
	}
	return 500 * time.Millisecond
}

// hostileHeap bounds what all hostile links of a case may add to the heap of
// server and test together. Messages in parts alone may take 64 MiB a loop, and
// there are two.
const hostileHeap = 192 << 20

// bomb is a compressed message of zeros. Each flushed part stands for itself, so
// the first does for all.
func bomb(op ws.OpCode, n int) []byte {
	part := func(n int) []byte {
		var b bytes.Buffer
		w, _ := flate.NewWriter(&b, flate.BestCompression)
		w.Write(make([]byte, n))
		w.Flush()
		return b.Bytes()
	}
	z := append(bytes.Repeat(part(1<<20), n>>20), part(n&(1<<20-1))...)
	f := frameOf(op, bytes.TrimSuffix(z, []byte{0, 0, 0xff, 0xff}))
	f[0] |= 0x40
	return f
}

// raw is a frame with any first byte.
func raw(first byte, payload string) []byte {
	b := frameOf(ws.OpBinary, []byte(payload))
	b[0] = first
	return b
}

// offering adds an offer of compression to a request.
func offering(request string) string {
	return strings.Replace(request, "Upgrade: ", "Sec-WebSocket-Extensions: permessage-deflate\r\nUpgrade: ", 1)
}

func TestHostileInput(t *testing.T) {
	r := newRig(t, t.TempDir(), func(c *config.Config) { c.AgentDeflate = true })
	keys, _ := r.Keys()
	viewer, _, err := keys.Create(access.Token{Name: "looks", Role: access.Viewer})
	if err != nil {
		t.Fatal(err)
	}
	// Who is unreadable is kept out for a while, with his key.
	abuser, _, err := keys.Create(access.Token{Name: "abuses", Role: access.Agent})
	if err != nil {
		t.Fatal(err)
	}
	live := offering(strings.Replace(upgrade(viewer, "eyrie.live.v1"), "/v1/agent", "/v1/live", 1))
	agent := offering(upgrade(r.agent, packed))
	many := func(b []byte) []byte { return bytes.Repeat(b, 1+64<<10/len(b)) }
	giant := bomb(ws.OpBinary, 1<<30)
	quiet := r.pongs(t, func() { time.Sleep(hostileFor()) })
	t.Logf("%-44s %s", "nobody is hostile", quiet)
	for _, c := range []struct {
		name    string
		addr    string
		request string
		links   int
		first   []byte // once
		flood   []byte // again and again, if there is one
		code    ws.StatusCode
		hello   bool // each link is a producer of its own
	}{
		{"pings", r.ingest, agent, 8, nil, many(raw(0x89, "")), 0, true},
		{"large pings", r.ingest, agent, 8, nil, many(raw(0x89, strings.Repeat("p", 125))), 0, true},
		{"pongs", r.ingest, agent, 8, nil, many(raw(0x8a, "")), 0, true},
		{"empty parts", r.ingest, agent, 8, raw(0x02, ""), many(raw(0x00, "")), 0, true},
		{"pings between parts", r.ingest, agent, 8, raw(0x02, "x"), many(raw(0x89, "y")), 0, true},
		{"parts of one byte", r.ingest, agent, 8, raw(0x02, ""), many(raw(0x00, "x")), ws.StatusMessageTooBig, true},
		{"empty messages of an agent", r.ingest, offering(upgrade(abuser, packed)), 8, nil, many(raw(0x82, "")), ws.StatusPolicyViolation, true},
		{"empty messages of a viewer", r.web, live, 8, nil, many(raw(0x81, "")), ws.StatusPolicyViolation, false},
		{"compressed empty messages of a viewer", r.web, live, 8, nil, many(raw(0xc1, "\x00")), ws.StatusPolicyViolation, false},
		{"bombs of 1 MiB", r.ingest, agent, 50, bomb(ws.OpBinary, 1<<20), nil, ws.StatusPolicyViolation, false}, // fits, and is no hello
		{"bombs of 1 MiB and a byte", r.ingest, agent, 50, bomb(ws.OpBinary, 1<<20+1), nil, ws.StatusMessageTooBig, false},
		{"bombs of 64 MiB", r.ingest, agent, 50, bomb(ws.OpBinary, 64<<20), nil, ws.StatusMessageTooBig, false},
		{"bombs of 1 GiB", r.ingest, agent, 50, giant, nil, ws.StatusMessageTooBig, false},
		{"bombs of 1 GiB to a viewer's path", r.web, live, 50, giant, nil, ws.StatusMessageTooBig, false},
		{"bombs before the key", r.ingest, offering(upgrade("eyrie_wrong", packed)), 50, giant, nil, 0, false},
		{"declared 2^63", r.ingest, agent, 50, header(1 << 63), nil, ws.StatusMessageTooBig, false},
		{"declared 2^40", r.ingest, agent, 50, header(1 << 40), nil, ws.StatusMessageTooBig, false},
		{"declared 1 MiB, a byte of it", r.ingest, agent, 50, append(header(1<<20), 'x'), nil, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := heap()
			var most uint64
			p := r.pongs(t, func() {
				most = hostile(t, c.addr, c.request, c.hello, c.links, c.first, c.flood, c.code)
			})
			grown := int64(most) - int64(before.HeapInuse)
			t.Logf("%-44s %s, heap %+d MiB", c.name, p, grown>>20)
			if grown > hostileHeap {
				t.Errorf("the heap grew by %d MiB", grown>>20)
			}
		})
	}
}

// hostile opens links, floods over them, and expects each to end with code; 0:
// it is still open, or was never let in. It returns the largest heap it saw.
func hostile(t *testing.T, addr, request string, hello bool, links int, first, flood []byte, code ws.StatusCode) (most uint64) {
	end := time.Now().Add(hostileFor())
	var wg sync.WaitGroup
	for i := range links {
		wg.Go(func() {
			var begin []byte
			if hello {
				begin = helloOf(wire.MsgPack, byte(i), uint64(time.Now().UnixNano())>>10, "a")
			}
			l, err := dialRaw(addr, request, begin)
			if err != nil {
				t.Error(err)
				return
			}
			defer l.close()
			if l.status == 429 && code == ws.StatusPolicyViolation {
				return // another of its kind was quicker
			}
			codes := make(chan ws.StatusCode, 1)
			go func() { codes <- l.drain() }()
			l.c.Write(first)
			until := end
			if code != 0 { // until it is closed for it
				until = time.Now().Add(20 * time.Second)
			}
			l.c.SetWriteDeadline(until)
			for len(flood) > 0 && time.Now().Before(until) {
				if _, err := l.c.Write(flood); err != nil {
					break
				}
			}
			if code == 0 {
				if time.Sleep(time.Until(end)); l.status == 101 {
					l.c.Close()
				}
				if got := <-codes; got != 0 {
					t.Errorf("closed with %d", got)
				}
				return
			}
			// Beyond what a loop holds of messages in parts, 1013 comes first.
			if got := <-codes; got != code && !(code == ws.StatusMessageTooBig && len(first) > 1<<19 && got == 1013) {
				t.Errorf("closed with %d, want %d", got, code)
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for {
		select {
		case <-done:
			return most
		case <-time.After(20 * time.Millisecond):
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapInuse)
		}
	}
}

// drain reads frames to the end and returns the code of the close, 0 if none came.
func (l *rawLink) drain() ws.StatusCode {
	for {
		h, err := ws.ReadHeader(l.r)
		if err != nil {
			return 0
		}
		if h.OpCode == ws.OpClose && h.Length >= 2 {
			var code [2]byte
			io.ReadFull(l.r, code[:])
			return ws.StatusCode(binary.BigEndian.Uint16(code[:]))
		}
		if _, err := l.r.Discard(int(h.Length)); err != nil {
			return 0
		}
	}
}

// spread says how long pongs took.
type spread []time.Duration

func (s spread) at(q float64) time.Duration { return s[int(q*float64(len(s)-1))] }

func (s spread) String() string {
	return fmt.Sprintf("pong p50 %v p99 %v of %d", s.at(0.5).Round(time.Microsecond), s.at(0.99).Round(time.Microsecond), len(s))
}

// pongWithin bounds the median pong, a thousand times what it takes: so long it
// is only where a loop serves hostile links before their neighbours. The slowest ones
// may have waited for what else this machine does, but not for ever.
const (
	pongWithin  = 500 * time.Millisecond
	pongSlowest = 10 * time.Second
)

// pongs has neighbours on every loop ping while fn runs.
func (r *rig) pongs(t *testing.T, fn func()) spread {
	t.Helper()
	var mu sync.Mutex
	var all spread
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range byte(4) {
		l, err := dialRaw(r.ingest, upgrade(r.agent, packed), helloOf(wire.MsgPack, 0xf0+i, uint64(time.Now().UnixNano())>>10, "a"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := l.next(); err != nil || got.Op != wire.OpWelcome {
			t.Fatalf("neighbour: %v, %v", got.Op, err)
		}
		l.c.(*net.TCPConn).SetNoDelay(true)
		wg.Go(func() {
			defer l.close()
			tick := time.NewTicker(3 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
				}
				from := time.Now()
				if _, err := l.c.Write(raw(0x89, "?")); err != nil {
					t.Error("neighbour: ", err)
					return
				}
				if h, err := ws.ReadHeader(l.r); err != nil || h.OpCode != ws.OpPong {
					t.Errorf("neighbour: %v %v", h, err)
					return
				}
				l.r.Discard(1)
				mu.Lock()
				all = append(all, time.Since(from))
				mu.Unlock()
			}
		})
	}
	fn()
	// A case that is over at once still gets its share of looks.
	eventually(t, "a hundred pongs", func() bool { mu.Lock(); defer mu.Unlock(); return len(all) >= 100 || t.Failed() })
	close(stop)
	wg.Wait()
	slices.Sort(all)
	if len(all) == 0 {
		t.Fatal("no pong")
	}
	if p := all.at(0.5); p > pongWithin {
		t.Errorf("half of the neighbours' pongs took %v and more", p)
	}
	if p := all[len(all)-1]; p > pongSlowest {
		t.Errorf("a neighbour's pong took %v", p)
	}
	return all
}
