//go:build linux

package conform

import (
	"fmt"
	"time"
)

// a case says what a client sends and what must come of it.
type conformance struct {
	name  string
	offer string // Sec-WebSocket-Extensions
	steps []step
	build func() []step // makes the steps when the case is run, where that takes long
	// code is the server's close: 0 if the connection is in order to the end,
	// so that the client closes it with 1000.
	code int
	full bool // only in a full run
}

// step sends, then expects.
type step struct {
	send []byte
	chop int // bytes a write; 0: all in one
	want []got
}

func (c *conformance) run(addr string, compressed bool) error {
	offer := c.offer
	if offer == "" && compressed {
		offer = "permessage-deflate; client_max_window_bits"
	}
	p, err := dial(addr, "/echo", offer)
	if err != nil {
		return err
	}
	defer p.c.Close()
	steps := c.steps
	if c.build != nil {
		steps = c.build()
	}
	for i, s := range steps {
		p.c.SetDeadline(time.Now().Add(patience))
		sent := make(chan error, 1)
		go func() { sent <- s.write(p) }()
		for _, want := range s.want {
			g, err := p.message()
			if err != nil {
				return fmt.Errorf("step %d: want %v: %w", i, want, err)
			}
			if g != want {
				return fmt.Errorf("step %d: got %v, want %v", i, g, want)
			}
		}
		if err := <-sent; err != nil && c.code == 0 {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	want := c.code
	if want == 0 {
		want = 1000
		if _, err := p.c.Write(closing(1000, "")); err != nil {
			return err
		}
	}
	code, err := p.end()
	if err != nil {
		return err
	}
	if code != want {
		return fmt.Errorf("close %d, want %d", code, want)
	}
	return nil
}

func (s *step) write(p *peer) error {
	b := s.send
	for s.chop > 0 && len(b) > s.chop {
		if _, err := p.c.Write(b[:s.chop]); err != nil {
			return err
		}
		b = b[s.chop:]
	}
	_, err := p.c.Write(b)
	return err
}

// say is a step of frames that are sent together.
func say(frames ...[]byte) step {
	var s step
	for _, f := range frames {
		s.send = append(s.send, f...)
	}
	return s
}

func (s step) by(n int) step {
	s.chop = n
	return s
}

func (s step) echo(gs ...got) step {
	s.want = append(s.want, gs...)
	return s
}

func txt(s string) got   { return got{fin | text, s} }
func bin(s string) got   { return got{fin | binry, s} }
func pongs(s string) got { return got{fin | pong, s} }

// parts is a message in frames of n bytes.
func parts(op byte, s string, n int) (b []byte) {
	for {
		f := s[:min(n, len(s))]
		if s = s[len(f):]; s == "" {
			return append(b, frame(fin|op, f)...)
		}
		b = append(b, frame(op, f)...)
		op = more
	}
}
