package wal

import (
	"sort"
	"sync"
)

// cache holds the newest durable blocks, in order and without a hole between
// them, and wakes those who wait for more.
type cache struct {
	mu     sync.Mutex
	blocks []*Block
	bytes  int
	most   int
	wake   chan struct{}
}

// add takes blocks that follow those in it.
func (c *cache) add(bs []*Block) {
	if len(bs) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range bs {
		c.blocks = append(c.blocks, b)
		c.bytes += b.Bytes()
	}
	drop := 0
	for drop < len(c.blocks)-1 && c.bytes > c.most {
		c.bytes -= c.blocks[drop].Bytes()
		drop++
	}
	if drop > 0 {
		n := copy(c.blocks, c.blocks[drop:])
		clear(c.blocks[n:])
		c.blocks = c.blocks[:n]
	}
}

// replace puts b in the place of the block with its base, if that is here.
func (c *cache) replace(b *Block) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := sort.Search(len(c.blocks), func(i int) bool { return c.blocks[i].Base() >= b.Base() })
	if i < len(c.blocks) && c.blocks[i].Base() == b.Base() {
		c.bytes += b.Bytes() - c.blocks[i].Bytes()
		c.blocks[i] = b
	}
}

// at returns the block with this base, or nil.
func (c *cache) at(base uint64) *Block {
	if b := c.holding(base); b != nil && b.Base() == base {
		return b
	}
	return nil
}

// holding returns the block that holds the offset, or nil.
func (c *cache) holding(off uint64) *Block {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.blocks)
	if n == 0 || off < c.blocks[0].Base() || off >= c.blocks[n-1].Next() {
		return nil
	}
	i := sort.Search(n, func(i int) bool { return c.blocks[i].Next() > off })
	return c.blocks[i]
}

// waiter returns a channel that is closed at the next wakeAll.
func (c *cache) waiter() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wake == nil {
		c.wake = make(chan struct{})
	}
	return c.wake
}

func (c *cache) wakeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wake != nil {
		close(c.wake)
		c.wake = nil
	}
}
