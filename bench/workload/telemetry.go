package workload

import (
	"encoding/binary"
	"fmt"
	"math"

	"eyrie/engine/wire"
)

// Telemetry: each event is one reading of an agent's metrics, and the agents of
// a connection take turns. As in TSBS' cpu-only case each metric is a random walk
// that stays within 0 to 100, from an even beginning:
//
//	metric   value                     a step                             bytes
//	even     whole numbers             -1, 0 (half of them) or +1         1
//	odd      hundredths (two decimals) even within ±0.50                  9
//
// Ten metrics of the first agent take 271 bytes of MessagePack. Metrics are named as in TSBS,
// cpu_usage_user and so on, from the eleventh on metric_10 and so on; an agent
// has as many series as metrics, and no two of its readings the same instant.
// The test holds names, steps, bytes and the number of series.
type gauges struct {
	dice   dice
	agents []gauge
	turn   int
	at     []int // of each value in a template
	tsAt   int   // behind the agent's id
	seq    uint64
	first  []string
}

// gauge is one agent: its event as it was last, which the next one is made of.
type gauge struct {
	payload []byte
	shift   int // its values stand so many bytes further than those of the first
	odd     []uint16
	ts      int64
}

// gaugeNames are TSBS' fields of cpu.
var gaugeNames = [...]string{"user", "system", "idle", "nice", "iowait", "irq", "softirq", "steal", "guest", "guest_nice"}

// MetricName is the name of metric i of a telemetry event.
func MetricName(i int) string {
	if i < len(gaugeNames) {
		return "cpu_usage_" + gaugeNames[i]
	}
	return fmt.Sprintf("metric_%d", i)
}

// gaugeMax is the end of every metric's range.
const gaugeMax = 100

func newGauges(sh Shape, conn int) *gauges {
	g := &gauges{dice: dice(mix(sh.Seed) ^ mix(uint64(conn)+0x6a09)), seq: 1}
	first, n := sh.agents(conn)
	g.agents = make([]gauge, n)
	for i := range g.agents {
		a := &g.agents[i]
		id := AgentID(first + i)
		b := head(nil, 4, "metrics", id, math.MaxInt64) // the longest: 9 bytes with its head
		at := len(b) - 8
		b = wire.AppendMapHeader(wire.AppendStr(b, "metrics"), sh.Metrics)
		for m := range sh.Metrics {
			b = wire.AppendStr(b, MetricName(m))
			if i == 0 {
				g.at = append(g.at, len(b))
			}
			if v := g.dice.below(gaugeMax + 1); m%2 == 0 {
				b = append(b, byte(v))
			} else {
				h := uint16(g.dice.below(100*gaugeMax + 1))
				a.odd = append(a.odd, h)
				b = wire.AppendFloat(b, float64(h)/100)
			}
		}
		a.payload = b
		if i == 0 {
			g.tsAt = at
		}
		a.shift = at - g.tsAt
		g.first = append(g.first, id)
	}
	return g
}

func (g *gauges) Append(dst []byte, ts int64) []byte {
	a := &g.agents[g.turn]
	if g.turn++; g.turn == len(g.agents) {
		g.turn = 0
	}
	g.seq++
	a.ts = max(ts, a.ts+1)
	binary.BigEndian.PutUint64(a.payload[g.tsAt+a.shift:], uint64(a.ts))
	bits, left := uint64(0), 0
	for m, at := range g.at {
		if left < 16 {
			bits, left = g.dice.next(), 64
		}
		r := bits & 0xffff
		bits, left = bits>>16, left-16
		at += a.shift
		if m%2 == 0 {
			// -1, 0, 0, +1, and back at the ends.
			v := int(a.payload[at]) + int(r&1) - int(r>>1&1)
			a.payload[at] = byte(min(max(v, 0), gaugeMax))
			continue
		}
		h := min(max(int(a.odd[m/2])+int(r*101>>16)-50, 0), 100*gaugeMax)
		a.odd[m/2] = uint16(h)
		binary.BigEndian.PutUint64(a.payload[at+1:], math.Float64bits(float64(h)/100))
	}
	return append(dst, a.payload...)
}

func (g *gauges) AppendMessage(dst []byte, ts int64) []byte {
	g.seq++
	return ping(dst, g.first[0], ts)
}

func (g *gauges) Seq() uint64      { return g.seq }
func (g *gauges) Agents() []string { return g.first }

// ping is a message that says nothing.
func ping(b []byte, agent string, ts int64) []byte {
	return text(head(b, 4, "message", agent, ts), "msg", "ready")
}
