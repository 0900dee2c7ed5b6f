package bench

import (
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"eyrie/bench/host"
	"eyrie/bench/report"
	"eyrie/bench/stats"
	"eyrie/bench/workload"

	"github.com/klauspost/compress/s2"
)

// Baseline measures the machine without eyrie: what one core and all cores
// compress, how fast the disk makes an append durable, how long a loopback round
// trip takes. What the others measure is judged against these, which move with
// the host as eyrie does.
type Baseline struct {
	Common
	Rounds int           // each measures all in turn
	For    time.Duration // each of them in a round
}

// What is appended and synced: as large as a well filled commit of the log.
const baselineAppend = 256 << 10

// Run measures and reports.
func (m Baseline) Run(ctx context.Context) (*report.Report, error) {
	dir, remove, err := m.temp("baseline")
	if err != nil {
		return nil, err
	}
	defer remove()
	rep := report.New("baseline", m.Command, dir)
	began, used := host.ReadClock(), selfCPU()
	block := baselineBlock()
	compressing(block, runtime.NumCPU(), m.For) // a core that has slept is slow at first
	var one, all, syncs, trips []float64
	for i := range m.Rounds {
		m.say("baseline: round %d of %d", i+1, m.Rounds)
		one = append(one, compressing(block, 1, m.For))
		all = append(all, compressing(block, runtime.NumCPU(), m.For))
		s, err := syncing(filepath.Join(dir, "append"), m.For)
		if err != nil {
			return nil, err
		}
		syncs = append(syncs, s...)
		t, err := tripping(m.For)
		if err != nil {
			return nil, err
		}
		trips = append(trips, t...)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	rep.AddRounds("one core", one, "MB/s", "S2 compression of events by one goroutine: what a core does here")
	rep.AddRounds("all cores", all, "MB/s", fmt.Sprintf("the same by %d goroutines at once: far below %d times a core, the cores are shared with others or with each other", runtime.NumCPU(), runtime.NumCPU()))
	slices.Sort(syncs)
	slices.Sort(trips)
	rep.Add("sync", stats.Median(syncs), "ms", fmt.Sprintf("median of an append of %d KiB and its fdatasync; no acknowledgement can be faster than this disk", baselineAppend>>10))
	rep.Add("sync p99", quantile(syncs, 0.99), "ms", "one sync in 100 takes longer, and every event of that commit with it")
	rep.Add("append", float64(baselineAppend)/1e6/(mean(syncs)/1e3), "MB/s", "durable, one append after the other: what hosts are compared by. The log asks for a fraction of it (capacity says which)")
	rep.Add("round trip", stats.Median(trips), "µs", "median of one byte there and back over loopback, between two goroutines: of an acknowledgement this much is the system's, your network's comes on top")
	rep.Add("round trip p99", quantile(trips, 0.99), "µs", "far above the median: the scheduler keeps others waiting, and so it will an agent's acknowledgement")
	noise := host.Since(began, host.ReadClock(), rep.Machine.Cores, selfCPU()-used)
	rep.Noise = &noise
	return rep, nil
}

// baselineBlock is a block of events as the log has them.
func baselineBlock() (b []byte) {
	s := workload.NewStream(workload.Shape{Seed: workload.FigureSeed, Agents: 1300, Connections: 1, Frame: 1}, 0)
	for len(b) < 128<<10 {
		b = s.Append(b, 1_700_000_000_000)
	}
	return b
}

// compressing has n goroutines compress the block again and again, and returns
// what they took in together, in MB/s.
func compressing(block []byte, n int, d time.Duration) float64 {
	var wg sync.WaitGroup
	counts := make([]int, n)
	began := time.Now()
	for i := range n {
		wg.Go(func() {
			dst := make([]byte, s2.MaxEncodedLen(len(block)))
			for time.Since(began) < d {
				s2.Encode(dst, block)
				counts[i]++
			}
		})
	}
	wg.Wait()
	total := 0
	for _, c := range counts {
		total += c
	}
	return float64(total*len(block)) / 1e6 / time.Since(began).Seconds()
}

// syncing appends to a file, syncs, and returns what each took in ms.
func syncing(path string, d time.Duration) (took []float64, err error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer os.Remove(path)
	defer f.Close()
	block := make([]byte, baselineAppend)
	for i := range block {
		block[i] = byte(i * 131 >> 3)
	}
	for began := time.Now(); time.Since(began) < d || len(took) < 10; {
		at := time.Now()
		if _, err := f.Write(block); err != nil {
			return nil, err
		}
		if err := dataSync(f); err != nil {
			return nil, err
		}
		took = append(took, ms(time.Since(at)))
	}
	return took, nil
}

// tripping sends a byte to and fro over loopback and returns the round trips in µs.
func tripping(d time.Duration) (took []float64, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return // the caller's dial fails, or its first read
		}
		defer c.Close()
		_, _ = io.Copy(c, c) // until the caller closes
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var b [1]byte
	for began := time.Now(); time.Since(began) < d || len(took) < 100; {
		at := time.Now()
		if _, err := c.Write(b[:]); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(c, b[:]); err != nil {
			return nil, err
		}
		took = append(took, float64(time.Since(at).Nanoseconds())/1e3)
	}
	return took, nil
}

// quantile is the least of ascending values that the share q of them does not exceed.
func quantile(sorted []float64, q float64) float64 {
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

func mean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}
