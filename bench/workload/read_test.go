package workload

import (
	"syscall"
	"testing"

	"eyrie/engine/wire"
)

// frames returns messages of the figure's mix, as they lie in a read buffer once unmasked.
func frames(n int) (all [][]byte) {
	for i := range n {
		s := NewStream(figure, i*7)
		f := NewFramer(wire.MsgPack, 1)
		for range 5 { // past the beginning, where all agents take the same step
			f.Events(nil, s, figure.Frame, 1_700_000_000_000, nil)
		}
		f.Events(nil, s, figure.Frame, 1_700_000_000_000, nil)
		all = append(all, f.msg)
	}
	return all
}

// perEvent reports the CPU time since the clock was read, which other processes on the machine do not count into.
func perEvent(b *testing.B, since int64, events int) {
	b.ReportMetric(float64(cpuNs(b)-since)/float64(events), "cpu-ns/event")
}

func cpuNs(b *testing.B) int64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return r.Utime.Nano() + r.Stime.Nano()
}

// BenchmarkParse reads messages of the mix as a loop does: Parse, then NextEvent until there is no more.
func BenchmarkParse(b *testing.B) {
	all := frames(80)
	var p wire.Parser
	var m wire.Message
	var h wire.Head
	b.ReportAllocs()
	events, since := 0, cpuNs(b)
	for i := 0; b.Loop(); i++ {
		if e := p.Parse(wire.MsgPack, all[i%len(all)], &m); e != nil {
			b.Fatal(e)
		}
		for {
			_, e, more := p.NextEvent(wire.MsgPack, &m, &h)
			if e != nil {
				b.Fatal(e)
			}
			if !more {
				break
			}
			events++
		}
	}
	perEvent(b, since, events)
}

// BenchmarkView reads stored events of the mix as the views do: Reset once, then the fields that each of them takes.
func BenchmarkView(b *testing.B) {
	var payloads [][]byte
	var p wire.Parser
	var m wire.Message
	var h wire.Head
	for _, f := range frames(80) {
		p.Parse(wire.MsgPack, f, &m)
		for payload, _, more := p.NextEvent(wire.MsgPack, &m, &h); more; payload, _, more = p.NextEvent(wire.MsgPack, &m, &h) {
			payloads = append(payloads, payload)
		}
	}
	var v wire.View
	for _, reads := range []bool{false, true} {
		name := "reset"
		if reads {
			name = "reset+reads"
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			sum, events, since := 0, 0, cpuNs(b)
			for b.Loop() {
				for _, p := range payloads {
					if err := v.Reset(p); err != nil {
						b.Fatal(err)
					}
					if reads {
						sum += readAll(&v)
					}
				}
				events += len(payloads)
			}
			if reads && sum == 0 {
				b.Fatal("nothing was read")
			}
			perEvent(b, since, events)
		})
	}
}

// readAll takes what the spans, fleet and series views together take of an event.
func readAll(v *wire.View) (sum int) {
	t := v.Type()
	if v.TS() > 0 {
		sum++
	}
	switch {
	case t.SpanLike():
		sum += int(v.Phase()) + int(v.Status()) + len(v.SpanID())
		if v.Phase() != wire.PhaseEnd {
			sum += len(v.Str(wire.FParent)) + len(v.Str(wire.FRun)) + len(v.Str(wire.FName)) + len(v.Str(wire.FSession)) + len(v.Str(wire.FTask))
		}
		if u, ok := v.Usage(); ok {
			sum += int(u.Input) + len(u.Model)
		}
	case t == wire.TypeMetrics:
		v.Numbers(wire.FMetrics, func(name []byte, x float64) { sum += len(name) + int(x) })
		v.Numbers(wire.FCounters, func(name []byte, x float64) { sum += len(name) })
	case t == wire.TypeMessage:
		sum += len(v.Str(wire.FMsg)) + len(v.Str(wire.FKind))
		v.To(func(id []byte) { sum += len(id) })
	}
	return sum
}
