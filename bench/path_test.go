package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"eyrie/appliance/intake"
	"eyrie/bench/workload"
	"eyrie/engine"
	"eyrie/engine/ring"
	"eyrie/engine/wire"
	"eyrie/netpoll"
	"eyrie/wal"

	"github.com/VictoriaMetrics/metrics"
)

// links stands for the engine: one ring, and acknowledgements that are counted.
type links struct {
	ring  *ring.Ring
	freed chan struct{}
	acked []atomic.Uint64 // highest number acknowledged, by link
	some  chan struct{}
}

func (l *links) Rings() []*ring.Ring { return []*ring.Ring{l.ring} }
func (l *links) Freed(int)           { poke(l.freed) }
func (l *links) Reply(rs []engine.Reply) {
	for i := range rs {
		if rs[i].Kind == engine.ReplyAck {
			l.acked[rs[i].Link].Store(rs[i].To)
		}
	}
	poke(l.some)
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// items are the ring's records of frames of the mix, as the engine writes them.
func items(b *testing.B, sh workload.Shape, conn int, frames int) (recs [][]byte) {
	s := workload.NewStream(sh, conn)
	var p wire.Parser
	for range frames {
		var evs [][]byte
		for range sh.Frame {
			evs = append(evs, s.Append(nil, time.Now().UnixMilli()))
		}
		var m wire.Message
		if fe := p.Parse(wire.MsgPack, wire.AppendEvents(nil, wire.MsgPack, 1, nil, evs...), &m); fe != nil {
			b.Fatal(fe)
		}
		for {
			var h wire.Head
			payload, fe, more := p.NextEvent(wire.MsgPack, &m, &h)
			if !more {
				break
			}
			if fe != nil {
				b.Fatal(fe)
			}
			recs = append(recs, engine.AppendItem(nil, &engine.Item{Kind: engine.ItemEvent, Class: uint8(h.Type), Flags: h.Flags(),
				Link: netpoll.Handle(conn), Key: h.Key, TS: h.TS, Agent: h.Agent, Payload: payload}))
		}
		recs = append(recs, engine.AppendItem(nil, &engine.Item{Kind: engine.ItemFrameEnd, Link: netpoll.Handle(conn)}))
	}
	return recs
}

// BenchmarkRingToAck is one event of the mix from the ring through intake and
// log to its acknowledgement: 65,000 agents, 1,000 links. The feeder's copy into
// the ring is counted too.
func BenchmarkRingToAck(b *testing.B) {
	for _, frame := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("frame=%d", frame), func(b *testing.B) { ringToAck(b, frame) })
	}
}

func ringToAck(b *testing.B, frame int) {
	sh := workload.Shape{Seed: workload.FigureSeed, Agents: 65_000, Connections: 1_000, Frame: frame}
	l := &links{ring: ring.New(8<<20, 1<<20), freed: make(chan struct{}, 1), some: make(chan struct{}, 1), acked: make([]atomic.Uint64, sh.Connections)}
	in := intake.New(nil, nil, intake.Options{Metrics: metrics.NewSet()})
	log, err := wal.Open(wal.Options{Dir: b.TempDir(), Committed: in.Committed, Ready: in.Ready})
	if err != nil {
		b.Fatal(err)
	}
	in.Attach(log, l)
	done := make(chan error, 1)
	go func() { done <- in.Run(context.Background()) }()
	put := func(rec []byte, seq uint64) {
		for {
			w, ok := l.ring.Reserve(len(rec), false)
			if ok {
				copy(w, rec)
				binary.LittleEndian.PutUint64(w[16:], seq)
				return
			}
			l.ring.Publish()
			in.Notify()
			<-l.freed
		}
	}
	const frames = 2
	feeds := make([][][]byte, sh.Connections)
	seqs := make([]uint64, sh.Connections)
	for c := range feeds {
		h := engine.HelloItem{Space: "main", Owner: "bench", Producer: sh.Producer(c), Epoch: 1, First: 1}
		put(engine.AppendItem(nil, &engine.Item{Kind: engine.ItemHello, Link: netpoll.Handle(c), Payload: engine.AppendHello(nil, &h)}), 1)
		feeds[c] = items(b, sh, c, frames*100/frame)
	}
	per := len(feeds[0]) / (frame + 1) // frames of a link before they repeat
	sent := 0
	send := func(n int) {
		for end := sent + n; sent < end; {
			f := sent / frame
			c, at := f%sh.Connections, f/sh.Connections%per
			for _, rec := range feeds[c][at*(frame+1):][:frame+1] {
				if engine.ItemKind(rec[0]) == engine.ItemEvent {
					seqs[c]++
					sent++
				}
				put(rec, seqs[c])
			}
			l.ring.Publish()
			in.Notify()
		}
		for c := range seqs {
			for l.acked[c].Load() < seqs[c] {
				<-l.some
			}
		}
	}
	send(sh.Connections * 200) // every agent is known
	before := log.Stats()
	b.ReportAllocs()
	b.ResetTimer()
	begin := processCPU(b)
	send(b.N)
	spent := processCPU(b) - begin
	b.StopTimer()
	after := log.Stats()
	b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N), "cpu-ns/event")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(b.N)/float64(after.Commits-before.Commits), "events/commit")
	b.ReportMetric(float64(after.StoredBytes-before.StoredBytes)/float64(b.N), "stored-B/event")
	in.Stop()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	if err := log.Close(); err != nil {
		b.Fatal(err)
	}
}

func processCPU(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
