package wal

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// payloads is the mix of the benchmarks: about 132 bytes, all different, as
// compressible as MessagePack maps of agents' events are.
type payloads struct {
	rng *rand.Rand
	buf []byte
}

func (p *payloads) next(i int) []byte {
	b := append(p.buf[:0], "\x87\xa4type\xa4tool\xa4name\xa8ReadFile\xa4span\xb0"...)
	for range 8 {
		b = append(b, "0123456789abcdef"[p.rng.Uint32()&15], "0123456789abcdef"[p.rng.Uint32()&15])
	}
	b = append(b, "\xa6status\xa2ok\xa6dur_ms\xcb"...)
	b = binary.BigEndian.AppendUint64(b, p.rng.Uint64()>>20)
	b = append(b, "\xa5usage\x82\xacinput_tokens\xcd"...)
	b = binary.BigEndian.AppendUint16(b, uint16(p.rng.Uint32()))
	b = append(b, "\xadoutput_tokens\xcd"...)
	b = binary.BigEndian.AppendUint16(b, uint16(i))
	p.buf = b
	return b
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAppendDurable is one event through the whole log, durable and
// marked: 132-byte payloads, 65,000 agents, 1,000 producers, 100-event frames.
func BenchmarkAppendDurable(b *testing.B) {
	const agents, producers, frame = 65_000, 1_000, 100
	var durable atomic.Uint64
	ready := make(chan struct{}, 1)
	wake := func() {
		select {
		case ready <- struct{}{}:
		default:
		}
	}
	l, err := Open(Options{Dir: b.TempDir(), Ready: wake, Committed: func(_ any, _, last uint64, err error) {
		if err != nil {
			panic(err)
		}
		durable.Store(last)
		wake()
	}})
	if err != nil {
		b.Fatal(err)
	}
	w := l.Writer()
	var ps, nums []uint32
	for i := range agents {
		nums = append(nums, w.Agent([]byte("main"), fmt.Appendf(nil, "agent-%08d", i)))
	}
	for i := range producers {
		p, _, err := w.Fence(ProducerKey{Space: "main", Owner: "bench", ID: [16]byte{byte(i), byte(i >> 8)}}, 1, 1)
		if err != nil {
			b.Fatal(err)
		}
		ps = append(ps, p)
	}
	seqs := make([]uint64, producers)
	rng := rand.New(rand.NewPCG(1, 2))
	pl := &payloads{rng: rng}
	// the events are made before the clock runs
	var texts [1 << 14][]byte
	bytes := 0
	for i := range texts {
		texts[i] = append([]byte(nil), pl.next(i)...)
		bytes += len(texts[i])
	}
	for !w.Commit(nil) {
		<-ready
	}
	before := l.Stats()
	b.SetBytes(int64(bytes / len(texts)))
	b.ReportAllocs()
	b.ResetTimer()
	begin := cpu()
	for i := 0; i < b.N; {
		p := (i / frame) % producers
		now := time.Now().UnixNano()
		for j := 0; j < frame && i < b.N; j++ {
			seqs[p]++
			n := rng.Uint32()
			v := w.Append(ps[p], seqs[p], uint8(n&7), uint8(n>>3&3), nums[(p*65+int(n>>8)%65)%agents], n>>20, now, texts[i&(len(texts)-1)])
			if v != Stored {
				b.Fatal(v)
			}
			i++
		}
		if !w.Commit(nil) && w.Full() {
			<-ready
		}
	}
	last := w.Next() - 1
	for durable.Load() < last {
		if w.Pending() {
			w.Commit(nil)
		}
		<-ready
	}
	b.StopTimer()
	spent := cpu() - begin
	s := l.Stats()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N), "cpu-ns/event")
	b.ReportMetric(float64(s.StoredBytes-before.StoredBytes)/float64(b.N), "stored-B/event")
	b.ReportMetric(float64(b.N)/float64(s.Commits-before.Commits), "events/commit")
	b.ReportMetric(float64(s.Commits-before.Commits)/float64(max(s.Marks-before.Marks, 1)), "commits/mark")
	b.ReportMetric(s.WriteAmplification, "write-amp")
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkAppend is the writer's part alone.
func BenchmarkAppend(b *testing.B) {
	r := mustOpen(b, small(newMem()))
	p, _ := r.mustFence(b, 1, 1, 1)
	rng := rand.New(rand.NewPCG(1, 2))
	pl := &payloads{rng: rng}
	text := append([]byte(nil), pl.next(1)...)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if v := r.w.Append(p, uint64(i+1), 1, 2, 0, 7, int64(i), text); v != Stored {
			b.Fatal(v)
		}
		if len(r.w.grp.blocks) >= groupBlocksMax {
			r.w.grp.blocks, r.w.grp.bytes = r.w.grp.blocks[:0], 0 // dropped: only the filling is measured
			r.w.pending = r.w.pending[:0]
		}
	}
	b.StopTimer()
	r.w.l.fail(errDropped)
	_ = r.Close()
}
