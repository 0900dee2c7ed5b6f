package admit

import (
	"sync"
	"time"
)

const (
	blockFirst = time.Second
	blockMax   = 10 * time.Minute
	// blocksMax bounds the table; beyond it the one that ends first makes room.
	blocksMax = 1 << 14
)

// Blocks remembers who has abused a link and how long he is kept out: a second,
// twice as long each time, at most ten minutes. Who behaves for ten times as
// long is forgotten. For any goroutine; clocks in ns.
type Blocks struct {
	mu sync.Mutex
	m  map[string]block
}

type block struct {
	until int64
	long  time.Duration
}

func (b block) forgotten(now int64) bool { return now > b.until+int64(10*b.long) }

// Punish keeps who out from now on and returns for how long.
func (t *Blocks) Punish(who string, now int64) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m == nil {
		t.m = make(map[string]block)
	}
	b, known := t.m[who]
	switch {
	case !known || b.forgotten(now):
		b.long = blockFirst
	default:
		b.long = min(2*b.long, blockMax)
	}
	if !known && len(t.m) >= blocksMax {
		t.makeRoom(now)
	}
	b.until = now + int64(b.long)
	t.m[who] = b
	return b.long
}

func (t *Blocks) makeRoom(now int64) {
	first, at := "", int64(0)
	for who, b := range t.m {
		if b.forgotten(now) {
			delete(t.m, who)
		} else if first == "" || b.until < at {
			first, at = who, b.until
		}
	}
	if len(t.m) >= blocksMax {
		delete(t.m, first)
	}
}

// Left returns how long who is still kept out; 0 for not at all.
func (t *Blocks) Left(who string, now int64) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	b, ok := t.m[who]
	if !ok {
		return 0
	}
	if b.forgotten(now) {
		delete(t.m, who)
	}
	return max(time.Duration(b.until-now), 0)
}

// Len is how many are remembered.
func (t *Blocks) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.m)
}
