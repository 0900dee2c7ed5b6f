package bench

import (
	"fmt"
	"math"
	"strings"
	"time"

	"eyrie/bench/report"
	"eyrie/bench/stats"
	"eyrie/bench/workload"
)

// flat is something that must not grow in a soak, however long.
type flat struct {
	name, unit string
	of         func(*Sample) float64
	room       float64 // growth below it says nothing, nor below flatMax of what it was
	says       string
}

var flats = []flat{
	{"resident memory", "bytes", func(s *Sample) float64 { return s.RSS }, 16 << 20, "What the machine must have free for the server; where it grows all along, look at the heap's line, then at a profile (--profile)"},
	{"heap", "bytes", func(s *Sample) float64 { return s.Heap }, 16 << 20, "What lives after a collection of garbage; growth here is held by the server's own code"},
	{"goroutines", "goroutines", func(s *Sample) float64 { return s.Goroutines }, 8, "Growth means that something is begun and never ended: see /debug/pprof/goroutine"},
	{"descriptors", "open", func(s *Sample) float64 { return s.Descriptors }, 32, "Links, files, listeners; growth without new links is a leak, and ends at the limit"},
}

// driftOver is how long the beginning and the end of a soak are.
func driftOver(took time.Duration) time.Duration { return min(took/driftShare, driftSpan) }

// drift is p99 in the beginning and in the end: medians of their windows.
func drift(samples []Sample) (first, last float64) {
	took := time.Duration(samples[len(samples)-1].At * float64(time.Second))
	n := max(1, int(float64(len(samples))*driftOver(took).Seconds()/took.Seconds()))
	p99 := func(part []Sample) float64 {
		v := make([]float64, len(part))
		for i := range part {
			v[i] = part[i].P99
		}
		return stats.Median(v)
	}
	return p99(samples[:n]), p99(samples[len(samples)-n:])
}

// judgeFlat says what grew of what must be flat, and by how much in an hour.
func judgeFlat(samples []Sample) (grown []Growth) {
	late := samples[len(samples)/2:]
	for _, f := range flats {
		g := growth(late, f.name, f.unit, f.of, stats.Median)
		g.Grows = g.Low > 0 && g.To-g.From > max(f.room, flatMax*g.From)
		grown = append(grown, g)
	}
	return grown
}

// diskPerEvent is what an event takes on disk in each half, by the troughs of the
// disk's use: merging makes it saw.
func diskPerEvent(samples []Sample) (first, second float64) {
	t, v := make([]float64, len(samples)), make([]float64, len(samples))
	for i := range samples {
		t[i], v[i] = samples[i].Next, samples[i].LogDisk+samples[i].ViewDisk
	}
	bt, bv := stats.Blocks(t, v, 2*steadyBlocks, stats.Trough)
	half := len(bt) / 2
	return stats.Slope(bt[:half+1], bv[:half+1]), stats.Slope(bt[half:], bv[half:])
}

// tell reports the soak's figures and judges them.
func (x *soakRun) tell(took time.Duration, client, server float64) {
	s, add := x.watch.Samples, x.rep.Add
	r := &x.watch.All
	last := s[len(s)-1]
	events := float64(r.Events)
	add("rate", events/last.At, "events/s", fmt.Sprintf("acknowledged of %s offered, %s in all", report.Number(x.Rate), report.Number(events)))
	add("ack p50", ms(r.Latency.Quantile(0.5)), "ms", "from when a frame was due to its acknowledgement, after the sync")
	add("ack p99", ms(r.Latency.Quantile(0.99)), "ms", "one frame in 100 waits longer: what to tell your agents' authors")
	add("ack p99.9", ms(r.Latency.Quantile(0.999)), "ms", fmt.Sprintf("one in 1,000 waits longer; the slowest %.0f ms", ms(r.Latency.Max())))
	add("server cpu", server/last.At, "cores", fmt.Sprintf("%.2f µs an event, all views on: scale it by your rate", 1e6*server/events))
	add("client cpu", client/last.At, "cores", fmt.Sprintf("of load clients, viewers and this process on this host, %.2f µs an event, which agents elsewhere do not take", 1e6*client/events))

	v := Judge(s, x.Rate)
	for _, g := range v.Debts {
		x.grew(g, "the least of the last stretch of the second half", debtSays[g.Name])
	}
	add("view lag at most", viewLag(s)/max(x.Rate, 1)*1e3, "ms", "the records that the slowest view was behind at worst, at the rate: how old what people saw was")
	x.rep.Says = append(x.rep.Says, heldSaid(v, x.Rate, took))
	if n := x.Load.Shape.Metrics; x.Load.Shape.Events == workload.Telemetry {
		add("samples", events/last.At*float64(n), "samples/s", fmt.Sprintf("metric samples durable and acknowledged, %d in each event", n))
	}
	if len(s) < steadyLeast {
		x.rep.Says = append(x.rep.Says, "It was too short to say whether the load is sustained.")
	} else {
		x.rep.Faults = append(x.rep.Faults, v.Why...)
	}
	x.flatness(took)
}

// viewLag is the most of all samples, in records.
func viewLag(samples []Sample) (most float64) {
	for i := range samples {
		most = max(most, samples[i].Lag)
	}
	return most
}

// heldWithin is how far below the rate asked for a load may be to be held.
const heldWithin = 0.10

// heldSaid says in a sentence whether the rate asked for was held, and if not what gave.
func heldSaid(v *Verdict, rate float64, took time.Duration) string {
	said := fmt.Sprintf("Held %s of the stated %s events/s for %v: within %.0f %%: ", report.Number(v.Rate), report.Number(rate), took.Round(time.Second), 100*heldWithin)
	why := v.Why
	if v.Rate < (1-heldWithin)*rate && len(why) == 0 {
		why = []string{"too few were acknowledged"}
	}
	if len(why) > 0 {
		return said + "no, " + strings.Join(why, "; ") + "."
	}
	return said + "yes, with no growth of view lag, unsealed bytes or level 0 of the stores."
}

// debtSays is what to do where a debt grows.
var debtSays = map[string]string{
	"view lag":                 "Divided by the rate, how old what people see is; where it grows all along, the views need more cores, or fewer events",
	"unsealed log owed":        "What sealing is behind by; where it grows, the rate leaves it no time, and the log takes several times the disk",
	"level 0 of the log":       "Tables that wait to be merged or sealed; at 100 deep writes wait",
	"level 0 of the views":     "Tables that a read may have to visit; where it grows, reads get slower, and at 100 writes wait",
	"wait for acknowledgement": "Where it grows, agents gather events faster than they are taken",
}

// grew adds a figure of something that was watched for growth.
func (x *soakRun) grew(g Growth, which, says string) {
	unit, by := g.Unit, 1.0
	if unit == "bytes" {
		unit, by = "MiB", 1<<20
	}
	hour := g.Slope * 3600 / by
	sure := "no growth beyond noise"
	if g.Low > 0 {
		sure = "95 % sure to be more than 0"
	}
	x.rep.Add(g.Name, g.To/by, unit, fmt.Sprintf("%s, at most %s; %s %s an hour, %s. %s", which, report.Number(g.Most/by), signed(hour), unit, sure, says))
}

func signed(v float64) string {
	if v >= 0 {
		return "+" + report.Number(v)
	}
	return report.Number(v)
}

// flatness reports and judges what must not grow, and whether latencies drift.
func (x *soakRun) flatness(took time.Duration) {
	s := x.watch.Samples
	judged := took >= flatAfter
	if !judged {
		x.rep.Says = append(x.rep.Says, fmt.Sprintf("It lasted %v: memory, disk and drift of latencies are judged from %v on, for caches and tables fill before; here they are told alone.", took.Round(time.Second), flatAfter))
	}
	for i, g := range judgeFlat(s) {
		x.grew(g, "the median of the last stretch of the second half", flats[i].says)
		if g.Grows && judged {
			x.rep.Fault("%s grew from %s to %s over the second half", g.Name, measure(g.From, g.Unit), measure(g.To, g.Unit))
		}
	}
	a, b := diskPerEvent(s)
	x.rep.Add("disk", b, "B/event", fmt.Sprintf("that log and views grew by in the second half, %s in the first: times your events a day, less what retention drops", report.Number(a)))
	if judged && a > 0 && b > driftMax*a {
		x.rep.Fault("disk per event grew from %s to %s B", report.Number(a), report.Number(b))
	}
	first, last := drift(s)
	span := driftOver(took).Round(time.Second)
	x.rep.Add("p99 at the beginning", first, "ms", fmt.Sprintf("of acknowledgements, the median of the windows of the first %v: to hold the next line against", span))
	x.rep.Add("p99 at the end", last, "ms", fmt.Sprintf("the same in the last %v, %.2f times as long; asked for are at most %.2f. More: something gets slower with time or with what is stored", span, last/first, driftMax))
	if judged && last > driftMax*first {
		x.rep.Fault("p99 went from %.1f ms in the first %v to %.1f in the last", first, span, last)
	}
}

// pointsMax bounds the points of a line.
const pointsMax = 400

// thin makes of samples at most pointsMax points: of neighbours the largest.
func thin(samples []Sample, of func(*Sample) float64) (points [][2]float64) {
	per := (len(samples) + pointsMax - 1) / pointsMax
	for i := 0; i < len(samples); i += per {
		at, v := 0.0, math.Inf(-1)
		for j := i; j < min(i+per, len(samples)); j++ {
			if now := of(&samples[j]); now > v {
				at, v = samples[j].At, now
			}
		}
		points = append(points, [2]float64{at, v})
	}
	return points
}

// curves plots the soak.
func (x *soakRun) curves() {
	const mib = 1 << 20
	type line struct {
		name string
		of   func(*Sample) float64
	}
	for _, c := range []struct {
		title, says string
		y           report.Axis
		lines       []line
	}{
		{"Throughput over time", "Events acknowledged a second. Dips are stalls: look at what happens below at the same time.", report.Axis{Name: "acknowledged", Unit: "events/s"},
			[]line{{"acknowledged", func(s *Sample) float64 { return s.Rate }}}},
		{"Latency over time", "Of each window, from when a frame was due to its acknowledgement. A line that rises all along means that something gets slower.", report.Axis{Name: "ack", Unit: "ms", Log: true},
			[]line{{"p50", func(s *Sample) float64 { return max(s.P50, 0.01) }}, {"p99", func(s *Sample) float64 { return max(s.P99, 0.01) }}}},
		{"CPU over time", "Of the server.", report.Axis{Name: "cores"}, []line{{"server", func(s *Sample) float64 { return s.CPU }}}},
		{"Memory over time", "Of the server. The heap is what lives after a collection; both are flat where nothing leaks.", report.Axis{Name: "memory", Unit: "MiB"},
			[]line{{"resident", func(s *Sample) float64 { return s.RSS / mib }}, {"heap", func(s *Sample) float64 { return s.Heap / mib }}}},
		{"What the server owes", "Saws are its way of working; a line that rises all along ends the load.", report.Axis{Name: "owed", Unit: "MiB"},
			[]line{{"unsealed log", func(s *Sample) float64 { return s.Unsealed / mib }}, {"level 0 of the log", func(s *Sample) float64 { return s.LogL0 / mib }}, {"level 0 of the views", func(s *Sample) float64 { return s.ViewL0 / mib }}}},
		{"Tables of level 0", "Flushed and not merged. In the log's store blocks wait there to be sealed.", report.Axis{Name: "tables"},
			[]line{{"log", func(s *Sample) float64 { return s.LogL0Files }}, {"views", func(s *Sample) float64 { return s.ViewL0Files }}}},
		{"View lag over time", "Records that the slowest view was behind the log: divided by the rate, how old what people see is.", report.Axis{Name: "lag", Unit: "records"},
			[]line{{"lag", func(s *Sample) float64 { return s.Lag }}}},
		{"Disk over time", "Files of both stores. Steps down are stretches that were sealed and tables that were merged.", report.Axis{Name: "disk", Unit: "MiB"},
			[]line{{"log", func(s *Sample) float64 { return s.LogDisk / mib }}, {"views", func(s *Sample) float64 { return s.ViewDisk / mib }}}},
		{"Goroutines and descriptors", "Of the server. Both are flat where nothing leaks.", report.Axis{Name: "open"},
			[]line{{"goroutines", func(s *Sample) float64 { return s.Goroutines }}, {"descriptors", func(s *Sample) float64 { return s.Descriptors }}}},
	} {
		out := report.Curve{Title: c.title, Says: c.says, X: report.Axis{Name: "time", Unit: "s"}, Y: c.y}
		for _, l := range c.lines {
			out.Lines = append(out.Lines, report.Line{Name: l.name, Points: thin(x.watch.Samples, l.of)})
		}
		x.rep.Curves = append(x.rep.Curves, out)
	}
}
