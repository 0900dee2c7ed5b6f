package stretch

import (
	"math/rand/v2"
	"sync"
	"testing"

	"eyrie/bench/workload"
	"eyrie/engine/wire"
	"eyrie/wal/block"
)

// mixFrames is how many frames one turn of intake takes: they share one recv.
const mixFrames = 20

// mix makes blocks of the seeded mix of all figures as intake and the log's
// writer make them: 65,000 agents on 1,000 producers that send in random order,
// frames of frame events, a tick each second. At least size bytes of payload.
func mix(tb testing.TB, frame, size int) []*block.Block {
	tb.Helper()
	sh := workload.Shape{Seed: workload.FigureSeed, Agents: 65_000, Connections: 1000, Frame: frame}
	rng := rand.New(rand.NewPCG(workload.FigureSeed, uint64(frame)))
	streams := make([]*workload.Stream, sh.Connections)
	var buf []byte
	for i := range streams {
		streams[i] = workload.NewStream(sh, i)
		for range 65 * 20 { // past the beginning, where all agents take the same step
			buf = streams[i].Append(buf[:0], 1_700_000_000_000)
		}
	}
	numbers := map[string]uint32{}
	var p wire.Parser
	var m wire.Message
	var h wire.Head
	recv := int64(1_700_000_000_000_000_000)
	const begin = 5_000_000_001
	b, done, blocks := block.NewBuilder(begin, block.RecordsMax, block.PayloadBytesMax), 0, []*block.Block(nil)
	room := func(n int) {
		if !b.Fits(n) {
			done += b.Bytes()
			next := b.Base() + uint64(b.Len())
			blocks = append(blocks, b.Block())
			b = block.NewBuilder(next, block.RecordsMax, block.PayloadBytesMax)
		}
	}
	second := recv / 1e9
	for turn := 0; done < size; turn++ {
		recv += int64(frame)*mixFrames*2000 + rng.Int64N(100_000) // half a million events a second
		if recv/1e9 != second {
			second = recv / 1e9
			room(0)
			b.Append(&block.Record{Kind: block.KindTick, Recv: recv}, -1)
		}
		for range mixFrames {
			conn := rng.IntN(len(streams))
			s := streams[conn]
			seq := s.Seq()
			f := workload.NewFramer(wire.MsgPack, 1)
			var payloads [][]byte
			f.Events(nil, s, frame, recv/1e6, func(_ uint64, payload []byte) { payloads = append(payloads, append([]byte(nil), payload...)) })
			msg := wire.AppendEvents(nil, wire.MsgPack, seq, nil, payloads...)
			if e := p.Parse(wire.MsgPack, msg, &m); e != nil {
				tb.Fatal(e)
			}
			for {
				payload, e, more := p.NextEvent(wire.MsgPack, &m, &h)
				if e != nil {
					tb.Fatal(e)
				}
				if !more {
					break
				}
				n := numbers[string(h.Agent)]
				if n == 0 {
					n = uint32(len(numbers) + 1)
					numbers[string(h.Agent)] = n
				}
				room(len(payload))
				b.Event(uint32(conn+1), seq, uint8(h.Type), h.Flags(), n, h.Key, recv, payload, -1)
				seq++
			}
		}
	}
	return append(blocks, b.Block())
}

var mixOnce = map[int]func(tb testing.TB) []*block.Block{}
var mixLock sync.Mutex

// figure is mix of 132 MiB, made once.
func figure(tb testing.TB, frame int) []*block.Block {
	mixLock.Lock()
	defer mixLock.Unlock()
	if mixOnce[frame] == nil {
		blocks := mix(tb, frame, 128<<20)
		clear(mixOnce) // one at a time is enough for the memory
		mixOnce[frame] = func(testing.TB) []*block.Block { return blocks }
	}
	return mixOnce[frame](tb)
}

// byClass are three tiers as retention may have them: metrics first, what failed last.
func byClass(r *block.Record) uint8 {
	switch {
	case r.Class == uint8(wire.TypeMetrics):
		return 0
	case r.Flags>>2&7 >= 3 || r.Kind != block.KindEvent:
		return 2
	}
	return 1
}

func oneTier(*block.Record) uint8 { return 0 }
