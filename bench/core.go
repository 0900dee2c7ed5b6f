package bench

import (
	"runtime"
	"sync"
	"time"

	"github.com/klauspost/compress/s2"
)

// coreProbe tells what a core does while others load it: the same as Baseline's one
// core, a little of it again and again, by the time that the core was given for it.
// A virtual machine's cores are not the same from one minute to the next, and what is measured on
// them is compared by what they did meanwhile.
type coreProbe struct {
	stop  chan struct{}
	ended sync.WaitGroup
	bytes int
	took  time.Duration // on the core
}

// Each time it compresses so many blocks of 128 KiB: a hundredth of a core, about.
const (
	coreEvery  = 100 * time.Millisecond
	coreBlocks = 6
)

func probeCore() *coreProbe {
	p := &coreProbe{stop: make(chan struct{})}
	block := baselineBlock()
	p.ended.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		dst := make([]byte, s2.MaxEncodedLen(len(block)))
		tick := time.NewTicker(coreEvery)
		defer tick.Stop()
		for {
			select {
			case <-p.stop:
				return
			case <-tick.C:
			}
			s2.Encode(dst, block) // brings both to the core
			began := threadCPU()
			for range coreBlocks {
				s2.Encode(dst, block)
			}
			p.took += threadCPU() - began
			p.bytes += coreBlocks * len(block)
		}
	})
	return p
}

// end stops it and returns MB/s of a core's time; 0 where there was none.
func (p *coreProbe) end() float64 {
	close(p.stop)
	p.ended.Wait()
	if p.took <= 0 {
		return 0
	}
	return float64(p.bytes) / 1e6 / p.took.Seconds()
}
