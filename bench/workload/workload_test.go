package workload

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"testing"

	"eyrie/engine/wire"

	"github.com/gobwas/ws"
)

var figure = Shape{Seed: FigureSeed, Agents: 65_000, Connections: 1000, Frame: 100}

func TestSameSeedSameEvents(t *testing.T) {
	take := func(sh Shape, conn int) (all []byte) {
		s := NewStream(sh, conn)
		for range 2000 {
			all = s.Append(all, 1_700_000_000_000)
		}
		return all
	}
	a := take(figure, 3)
	if !bytes.Equal(a, take(figure, 3)) {
		t.Error("the same shape and connection gave other events")
	}
	if bytes.Equal(a, take(figure, 4)) {
		t.Error("two connections gave the same events")
	}
	other := figure
	other.Seed++
	if bytes.Equal(a, take(other, 3)) {
		t.Error("another seed gave the same events")
	}
}

// The mix is, byte for byte, the one that published figures were measured with.
func TestFigureIsGolden(t *testing.T) {
	h := sha256.New()
	for _, conn := range []int{0, 3, 999} {
		s, f := NewStream(figure, conn), NewFramer(wire.MsgPack, figure.Seed)
		for range 50 {
			h.Write(f.Events(nil, s, figure.Frame, 1_700_000_000_000, nil))
		}
	}
	const golden = "05bd89415bda8550dfdd43e586796d9db901ae70447da5b05b4a22c05a2e1ed8"
	if got := hex.EncodeToString(h.Sum(nil)); got != golden {
		t.Errorf("15,000 events of the figures' shape hash to %s: a new mix makes all recorded figures void", got)
	}
}

// The table in script.go is what comes out, and the server takes all of it.
func TestTheMix(t *testing.T) {
	count := map[string]float64{}
	size := map[string]float64{}
	spans := map[string]int{}
	seen := map[string]bool{}
	agents := map[string]bool{}
	models := map[string]map[string]bool{}
	n, total := 0, 0
	for conn := range 20 {
		s := NewStream(figure, conn*50)
		for range 10_000 {
			p := s.Append(nil, 1_700_000_000_000)
			if _, err := wire.CheckPayload(p); err != nil {
				t.Fatalf("the server would refuse %x: %v", p, err)
			}
			var e wire.Event
			if err := wire.DecodeEvent(p, &e); err != nil {
				t.Fatal(err)
			}
			k := e.Type.String()
			if e.Type.SpanLike() && e.Type != wire.TypeRun {
				k += " " + e.Phase.String()
			}
			count[k]++
			size[k] += float64(len(p))
			if e.Type.SpanLike() {
				switch e.Phase {
				case wire.PhaseStart:
					spans[e.Span]++
				case wire.PhaseEnd:
					if spans[e.Span] != 1 {
						t.Fatalf("span %s ends after %d starts", e.Span, spans[e.Span])
					}
					spans[e.Span] = 2
				}
			}
			agents[e.Agent] = true
			if e.Usage != nil {
				if models[e.Agent] == nil {
					models[e.Agent] = map[string]bool{}
				}
				models[e.Agent][string(e.Usage.Model)] = true
			}
			seen[string(p)] = true
			n++
			total += len(p)
		}
	}
	if len(seen) < n*999/1000 {
		t.Errorf("%d of %d payloads are distinct", len(seen), n)
	}
	for a, m := range models {
		if len(m) > 2 {
			t.Errorf("%s uses %d models, documented are at most two", a, len(m))
		}
	}
	if len(agents) != 20*65 {
		t.Errorf("20 connections speak for %d agents, want %d", len(agents), 20*65)
	}
	if mean := float64(total) / float64(n); math.Abs(mean-132) > 1 {
		t.Errorf("mean payload of %.1f bytes, documented are 132", mean)
	}
	for k, want := range map[string]struct{ share, bytes float64 }{
		"tool start": {19.5, 136}, "tool end": {19.4, 87}, "llm start": {15.5, 137}, "llm end": {15.3, 200},
		"metrics": {15, 109}, "message": {7.4, 144}, "task start": {4.1, 161}, "task end": {3.5, 86}, "run": {0.3, 92},
	} {
		share, mean := 100*count[k]/float64(n), size[k]/count[k]
		t.Logf("%-10s %5.1f %% %6.1f B", k, share, mean)
		if math.Abs(share-want.share) > 0.1+want.share/50 || math.Abs(mean-want.bytes) > 2 {
			t.Errorf("%s: %.1f %% of %.0f bytes, documented are %.1f %% of %.0f", k, share, mean, want.share, want.bytes)
		}
	}
}

// What the Framer writes is what the server's parser reads.
func TestFramesParse(t *testing.T) {
	for _, codec := range []wire.Codec{wire.MsgPack, wire.JSON} {
		for _, n := range []int{1, 3, 100, 600} {
			s := NewStream(figure, 1)
			f := NewFramer(codec, 9)
			var parser wire.Parser
			for want := uint64(1); want < 5; {
				var sums [][]byte
				first := s.Seq()
				b := f.Events(nil, s, n, 1_700_000_000_000, func(seq uint64, p []byte) {
					if seq != first+uint64(len(sums)) {
						t.Fatalf("number %d after %d events from %d", seq, len(sums), first)
					}
					sums = append(sums, bytes.Clone(p))
				})
				r := bytes.NewReader(b)
				fh, err := ws.ReadHeader(r)
				if err != nil || !fh.Masked || !fh.Fin || int(fh.Length) != r.Len() {
					t.Fatalf("%+v with %d bytes behind it: %v", fh, r.Len(), err)
				}
				if fh.OpCode == ws.OpText != (codec == wire.JSON) {
					t.Fatalf("opcode %v in %v", fh.OpCode, codec)
				}
				payload := b[len(b)-r.Len():]
				ws.Cipher(payload, fh.Mask, 0)
				var m wire.Message
				if fe := parser.Parse(codec, payload, &m); fe != nil {
					t.Fatal(fe)
				}
				if m.Op != wire.OpEvents || m.Seq != first || m.Count != n {
					t.Fatalf("op %v seq %d count %d", m.Op, m.Seq, m.Count)
				}
				for i := 0; ; i++ {
					var h wire.Head
					p, fe, more := parser.NextEvent(codec, &m, &h)
					if !more {
						break
					}
					if fe != nil {
						t.Fatal(fe)
					}
					var got, sent wire.Event
					if wire.DecodeEvent(p, &got) != nil || wire.DecodeEvent(sums[i], &sent) != nil || got.Span != sent.Span || got.Agent != sent.Agent || got.TS != sent.TS {
						t.Fatalf("event %d came out as %+v, sent was %+v", i, got, sent)
					}
				}
				want++
			}
		}
	}
}

func TestProducersAndAgentsDiffer(t *testing.T) {
	seen := map[[16]byte]bool{}
	total := 0
	for c := range figure.Connections {
		seen[figure.Producer(c)] = true
		_, n := figure.agents(c)
		total += n
	}
	if len(seen) != figure.Connections || total != figure.Agents {
		t.Errorf("%d producers and %d agents", len(seen), total)
	}
	few := Shape{Agents: 3, Connections: 10, Frame: 1}
	for c := range 10 {
		if first, n := few.agents(c); n != 1 || first != c%3 {
			t.Errorf("connection %d speaks for %d agents from %d", c, n, first)
		}
	}
}

func BenchmarkEvents(b *testing.B) {
	s := NewStream(figure, 0)
	f := NewFramer(wire.MsgPack, 1)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = f.Events(buf[:0], s, 100, 1_700_000_000_000, nil)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/event")
}

// A bench has its fleets one after the other on one server, each with a seed of its
// own: a span of one that another had ended would be looked for on the disk.
func TestNoTwoStreamsShareASpan(t *testing.T) {
	seen := map[uint64]bool{}
	for seed := FigureSeed; seed < FigureSeed+4; seed++ {
		sh := Shape{Seed: uint64(seed), Agents: 200, Connections: 4, Frame: 10}
		streams := []*Stream{NewRun(sh, 0), NewRun(sh, 1)}
		for conn := range sh.Connections {
			streams = append(streams, NewStream(sh, conn))
		}
		for i, s := range streams {
			for range 1000 {
				if id := s.span(); seen[id] {
					t.Fatalf("stream %d of seed %d: span %016x again", i, seed, id)
				} else {
					seen[id] = true
				}
			}
		}
	}
}
