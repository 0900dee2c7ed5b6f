package blob

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// cut pulls the plug before the at-th operation that writes: what is left has
// what was synced, and a random part of the rest.
type cut struct {
	fs    *vfs.MemFS
	at    int64
	n     atomic.Int64
	rng   *rand.Rand
	mu    sync.Mutex
	clone *vfs.MemFS
	acked map[Key]string // by then
	led   *ledger
}

type ledger struct {
	mu    sync.Mutex
	acked map[Key]string
}

func (c *cut) String() string { return "cut" }

func (c *cut) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && c.n.Add(1) == c.at {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.led.mu.Lock()
		defer c.led.mu.Unlock()
		c.acked = map[Key]string{}
		for k, v := range c.led.acked {
			c.acked[k] = v
		}
		c.clone = c.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: c.rng.IntN(101), RNG: c.rng})
	}
	return nil
}

// TestPowerCuts pulls the plug at a random operation, again and again, while
// blobs are put from several goroutines: what Put or Use has answered for is
// there and whole. EYRIE_POWER_CUTS sets how often.
func TestPowerCuts(t *testing.T) {
	cuts := 300
	if s := os.Getenv("EYRIE_POWER_CUTS"); s != "" {
		cuts, _ = strconv.Atoi(s)
	}
	for seed := range cuts {
		if err := powerCut(uint64(seed), 4); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func powerCut(seed uint64, lives int) error {
	rng := rand.New(rand.NewPCG(seed, 7))
	fs := vfs.NewCrashableMem()
	led := &ledger{acked: map[Key]string{}}
	if err := fs.MkdirAll("data", 0o700); err != nil { // the log's to make durable
		return err
	}
	if d, err := fs.OpenDir(""); err != nil {
		return err
	} else if err = errors.Join(d.Sync(), d.Close()); err != nil {
		return err
	}
	for range lives {
		c := &cut{fs: fs, at: 1 + rng.Int64N(60), rng: rng, led: led}
		s, err := Open(Options{FS: errorfs.Wrap(fs, c), Dir: "data/blobs"})
		if err != nil {
			return err
		}
		var wg sync.WaitGroup
		for g := range 3 {
			order := rand.New(rand.NewPCG(seed, uint64(g)))
			wg.Go(func() {
				draw := func() string {
					return fmt.Sprint(bytes.Repeat([]byte{byte(order.IntN(4))}, order.IntN(2)*100+1))
				}
				for range 6 {
					content := draw()
					k, err := s.Put("main", "", []byte(content))
					if err == nil {
						led.mu.Lock()
						led.acked[k] = content
						led.mu.Unlock()
					}
					content = draw() // another one, that somebody may be about to put
					k = Key{Space: "main", Sum: sha256.Sum256([]byte(content))}
					if ok, err := s.Use(k); err == nil && ok {
						led.mu.Lock()
						led.acked[k] = content
						led.mu.Unlock()
					}
				}
			})
		}
		wg.Wait()
		s.Close()
		if c.clone == nil { // it ran to its end
			c.clone = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 0})
			c.acked = led.acked
		}
		fs = c.clone
		after, err := Open(Options{FS: fs, Dir: "data/blobs"})
		if err != nil {
			return err
		}
		for k, content := range c.acked {
			if b, err := after.Get(k); err != nil || string(b.Content) != content {
				after.Close()
				return fmt.Errorf("%s, acknowledged, is lost: %w", k, err)
			}
		}
		if err := after.Walk(func(f Found) error { _, err := after.GetFile(f.Name); return err }); err != nil {
			after.Close()
			return fmt.Errorf("a file with a name is not whole: %w", err)
		}
		after.Close()
		led = &ledger{acked: c.acked}
	}
	return nil
}
