package workload

import (
	"math"
	"testing"

	"eyrie/engine/wire"
)

// What telemetry.go says of values, steps, bytes and series is what comes out,
// and the server takes all of it.
func TestTelemetry(t *testing.T) {
	sh := Shape{Seed: FigureSeed, Agents: 1300, Connections: 20, Frame: 65, Events: Telemetry, Metrics: 12}
	series := map[string]bool{}
	last := map[string]map[string]float64{}
	at := map[string]int64{}
	steps := map[float64]int{} // of whole numbers
	decimals, sum, moved, stayed := 0, 0.0, 0, 0
	for conn := range sh.Connections {
		g := newGauges(sh, conn)
		for n := range 65 * 40 {
			const round = 1_700_000_000_000
			p := g.Append(nil, round+int64(n/200)*1000) // several readings within a second
			if _, err := wire.CheckPayload(p); err != nil {
				t.Fatalf("the server would refuse %x: %v", p, err)
			}
			var e wire.Event
			if err := wire.DecodeEvent(p, &e); err != nil {
				t.Fatal(err)
			}
			if e.Type != wire.TypeMetrics || len(e.Metrics) != 12 || e.Agent != g.Agents()[n%65] {
				t.Fatalf("%+v", e)
			}
			if e.TS <= at[e.Agent] {
				t.Fatalf("%s has two readings of the instant %d", e.Agent, e.TS)
			}
			at[e.Agent] = e.TS
			for m := range 12 {
				v, ok := e.Metrics[MetricName(m)]
				if !ok || v < 0 || v > 100 {
					t.Fatalf("metric %d is %v in %+v", m, v, e)
				}
				if m%2 == 0 && v != math.Trunc(v) || math.Abs(v*100-math.Round(v*100)) > 1e-6 {
					t.Fatalf("metric %d is %v", m, v)
				}
				series[e.Agent+MetricName(m)] = true
				old, ok := last[e.Agent][MetricName(m)]
				if !ok || v == 0 || v == 100 || old == 0 || old == 100 {
					continue // the ends push back
				}
				if d := v - old; m%2 == 0 {
					steps[d]++
				} else {
					decimals++
					sum += d
					if math.Abs(d) > 0.5+1e-9 {
						t.Fatalf("a step of %v", d)
					}
					if math.Abs(d) > 0.25 {
						moved++
					} else {
						stayed++
					}
				}
			}
			last[e.Agent] = e.Metrics
		}
		if g.Seq() != 65*40+1 {
			t.Errorf("%d numbers", g.Seq())
		}
	}
	if len(series) != 1300*12 {
		t.Errorf("%d series, documented are as many as metrics for each agent", len(series))
	}
	all := float64(steps[-1] + steps[0] + steps[1])
	if len(steps) != 3 || math.Abs(float64(steps[0])/all-0.5) > 0.01 || math.Abs(float64(steps[1])/all-0.25) > 0.01 {
		t.Errorf("steps of whole numbers: %v", steps)
	}
	// 50 of 101 steps are longer than 0.25.
	if share := float64(moved) / float64(moved+stayed); math.Abs(share-50.0/101) > 0.01 || math.Abs(sum/float64(decimals)) > 0.005 {
		t.Errorf("of the steps of decimals %.3f are long, their mean is %.4f", share, sum/float64(decimals))
	}
	sh.Metrics = 10
	if n := len(newGauges(sh, 0).Append(nil, 1_700_000_000_000)); n != telemetryBytes {
		t.Errorf("ten metrics take %d bytes, documented are %d", n, telemetryBytes)
	}
}

// telemetryBytes are those that telemetry.go names.
const telemetryBytes = 271

// A frame of telemetry is what the server's parser reads, in each codec.
func TestTelemetryFrames(t *testing.T) {
	sh := Shape{Seed: 1, Agents: 30, Connections: 2, Frame: 15, Events: Telemetry, Metrics: 10}
	m, err := NewMaker(sh)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []wire.Codec{wire.MsgPack, wire.JSON, wire.Proto} {
		f := NewFramer(c, 2)
		f.Events(nil, m.Source(0), 15, 1_700_000_000_000, nil)
		var p wire.Parser
		var msg wire.Message
		if fe := p.Parse(c, f.msg, &msg); fe != nil || msg.Count != 15 {
			t.Errorf("%v: %v, %d events", c, fe, msg.Count)
		}
	}
}

// BenchmarkTelemetry is what one event costs the client until it is masked.
func BenchmarkTelemetry(b *testing.B) {
	sh := Shape{Seed: 1, Agents: 65_000, Connections: 1000, Frame: 65, Events: Telemetry, Metrics: 10}
	benchSource(b, sh)
}

// BenchmarkRecorded likewise.
func BenchmarkRecorded(b *testing.B) {
	benchSource(b, Shape{Seed: 1, Agents: 5000, Connections: 500, Frame: 20, Events: Recorded})
}

// BenchmarkFleet likewise.
func BenchmarkFleet(b *testing.B) { benchSource(b, figure) }

func benchSource(b *testing.B, sh Shape) {
	m, err := NewMaker(sh)
	if err != nil {
		b.Fatal(err)
	}
	var all []Source
	for i := range 200 {
		all = append(all, m.Source(i))
	}
	f := NewFramer(wire.MsgPack, 1)
	var buf []byte
	b.ReportAllocs()
	since, n := cpuNs(b), 0
	for b.Loop() {
		buf = f.Events(buf[:0], all[n%len(all)], sh.Frame, 1_700_000_000_000+int64(n), nil)
		n++
	}
	perEvent(b, since, n*sh.Frame)
}
