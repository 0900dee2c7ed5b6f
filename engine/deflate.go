//go:build linux

package engine

import (
	"bytes"
	"sync"

	"github.com/gobwas/ws"
	"github.com/klauspost/compress/flate"
)

// deflateMost is the most that is compressed in one go: larger messages are
// sent as they are, so that a loop is not held up by them.
const deflateMost = 1 << 20

// rsv1 marks the first frame of a compressed message (RFC 7692, 6).
const rsv1 = 0x40

// deflater compresses messages one by one. It is for one caller at a time.
type deflater struct {
	out appender
	w   [windowBitsMax + 1]*flate.Writer // by window bits, made when first wanted
}

// appender is an io.Writer into memory.
type appender []byte

func (a *appender) Write(p []byte) (int, error) {
	*a = append(*a, p...)
	return len(p), nil
}

// deflate compresses p for a window of so many bits; nil if that gains nothing.
// What it returns is valid until the next call.
func (d *deflater) deflate(p []byte, bits uint8) []byte {
	w := d.w[bits]
	if cap(d.out) > deflateMost {
		d.out = nil
	}
	d.out = d.out[:0]
	if w == nil {
		var err error
		if bits == windowBitsMax {
			w, err = flate.NewWriter(&d.out, flate.BestSpeed)
		} else {
			w, err = flate.NewWriterWindow(&d.out, 1<<bits)
		}
		if err != nil {
			return nil
		}
		d.w[bits] = w
	} else {
		w.Reset(&d.out)
	}
	if _, err := w.Write(p); err != nil {
		return nil
	}
	if err := w.Flush(); err != nil {
		return nil
	}
	z := bytes.TrimSuffix(d.out, inflateTail[:]) // 7.2.1
	if len(z) >= len(p) {
		return nil
	}
	return z
}

// deflaters lends compressors to goroutines that are no loop, and remembers
// what they made: what is told to many viewers is compressed once.
type deflaters struct {
	pool sync.Pool
	mu   sync.Mutex
	made [8]made
	next int
}

// made is a message and its frame, both never written to again.
type made struct {
	plain []byte
	frame []byte
	bits  uint8
	op    ws.OpCode
}

// frame returns the frame that carries p compressed, nil if p is better sent as
// it is. It may be shared, so it is not to be changed.
func (d *deflaters) frame(op ws.OpCode, p []byte, bits uint8) (frame []byte) {
	if f := d.find(op, p, bits); f != nil {
		return f
	}
	x, _ := d.pool.Get().(*deflater)
	if x == nil {
		x = new(deflater)
	}
	defer d.pool.Put(x)
	z := x.deflate(p, bits)
	if z == nil {
		return nil
	}
	frame = appendFrame(make([]byte, 0, len(z)+ws.MaxHeaderSize), op, z)
	frame[0] |= rsv1
	d.mu.Lock()
	d.made[d.next] = made{bytes.Clone(p), frame, bits, op}
	d.next = (d.next + 1) % len(d.made)
	d.mu.Unlock()
	return frame
}

func (d *deflaters) find(op ws.OpCode, p []byte, bits uint8) []byte {
	d.mu.Lock()
	made := d.made
	d.mu.Unlock()
	for i := range made {
		if m := &made[i]; m.op == op && m.bits == bits && bytes.Equal(m.plain, p) {
			return m.frame
		}
	}
	return nil
}
