package wal

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// cursorTable holds named offsets: how far an outlet or a view has come.
type cursorTable struct {
	mu    sync.Mutex
	m     map[string]uint64
	dirty map[string]bool
}

// SetCursor notes that everything below off has been dealt with by name. It is
// durable with the next commit, or with Close.
func (l *Log) SetCursor(name string, off uint64) {
	c := &l.cursors
	c.mu.Lock()
	defer c.mu.Unlock()
	c.m[name] = off
	c.dirty[name] = true
}

// Cursor returns what SetCursor set last, here or before the log was opened.
func (l *Log) Cursor(name string) (off uint64, ok bool) {
	c := &l.cursors
	c.mu.Lock()
	defer c.mu.Unlock()
	off, ok = c.m[name]
	return off, ok
}

// Cursors returns all of them.
func (l *Log) Cursors() map[string]uint64 {
	c := &l.cursors
	c.mu.Lock()
	defer c.mu.Unlock()
	m := make(map[string]uint64, len(c.m))
	for k, v := range c.m {
		m[k] = v
	}
	return m
}

// take adds what is to be stored to ops.
func (c *cursorTable) take(ops []op) []op {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range c.dirty {
		ops = append(ops, op{append([]byte{prefixCursor}, name...), binary.LittleEndian.AppendUint64(nil, c.m[name])})
	}
	clear(c.dirty)
	return ops
}

func (c *cursorTable) load(db *pebble.DB) error {
	c.m, c.dirty = map[string]uint64{}, map[string]bool{}
	return scan(db, prefixCursor, func(k, v []byte) error {
		if len(v) != 8 {
			return fmt.Errorf("cursor %q is damaged", k[1:])
		}
		c.m[string(k[1:])] = binary.LittleEndian.Uint64(v)
		return nil
	})
}
