//go:build linux

package engine

import "sync"

// waiting lists the detached connections that were answered and have asked for
// nothing since, longest first: when Config.HTTPMax is reached, the first of
// them makes room, so that idle peers keep nobody out. For any goroutine.
type waiting struct {
	mu          sync.Mutex
	first, last *detachedConn
}

// add puts c last.
func (w *waiting) add(c *detachedConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.listed = true
	if c.before = w.last; c.before != nil {
		c.before.after = c
	} else {
		w.first = c
	}
	w.last = c
}

// remove takes c off; it may be off already.
func (w *waiting) remove(c *detachedConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unlink(c)
}

func (w *waiting) unlink(c *detachedConn) {
	if !c.listed {
		return
	}
	if c.before != nil {
		c.before.after = c.after
	} else {
		w.first = c.after
	}
	if c.after != nil {
		c.after.before = c.before
	} else {
		w.last = c.before
	}
	c.listed, c.before, c.after = false, nil, nil
}

// take removes and returns the connection that has waited longest, nil if none
// waits.
func (w *waiting) take() *detachedConn {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.first
	if c != nil {
		w.unlink(c)
	}
	return c
}

// httpRoom says whether one more connection may be handed to Config.HTTP, for
// which it then is counted. On a loop's thread: a connection that has to go is
// closed elsewhere, where its descriptor means something.
func (s *Server) httpRoom() (ok bool, evicted bool) {
	if s.detached.Add(1) <= int64(s.cfg.HTTPMax) {
		return true, false
	}
	s.detached.Add(-1)
	c := s.waiting.take()
	if c == nil || c.closed.Swap(true) {
		return false, false
	}
	go c.Conn.Close() // its place is the new one's
	return true, true
}
