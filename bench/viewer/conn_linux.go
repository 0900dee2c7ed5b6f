package viewer

import (
	"encoding/json"
	"fmt"
	"time"

	"eyrie/bench/links"
)

// conn is one viewer.
type conn struct {
	links.Link
	up      bool // has all its subscriptions
	subs    []sub
	waiting int // subscriptions without an answer
}

// sub is one subscription; its id is its index and one.
type sub struct {
	watch *Watch
	left  int64  // items that the server may still send
	owed  int64  // arrived and not yet given back
	mark  uint64 // the probe's event seen last
}

func (l *loop) newConn(idx int) *conn {
	c := &conn{Link: links.Link{Index: idx}}
	kind := l.job.Kinds[idx%len(l.job.Kinds)]
	for i := range kind {
		c.subs = append(c.subs, sub{watch: &kind[i], left: kind[i].Credits})
	}
	return c
}

// of is the viewer that a link is part of.
func (l *loop) of(c *links.Link) *conn { return l.conns[c.Index-l.job.From] }

// Upgraded asks for the viewer's subscriptions.
func (l *loop) Upgraded(link *links.Link) {
	c := l.of(link)
	c.waiting = len(c.subs)
	if l.job.Centrifuge {
		l.greet(c)
		return
	}
	for i := range c.subs {
		l.put(c, c.subs[i].watch.message(i+1))
	}
}

// Read counts, and notes when: what is in it arrived then.
func (l *loop) Read(n int) {
	if l.counting {
		l.res.Bytes += uint64(n)
	}
	l.arrived = time.Now().UnixMicro()
}

// Message takes what the server says.
func (l *loop) Message(link *links.Link, p []byte) {
	if c := l.of(link); l.job.Centrifuge {
		l.frame(c, p, l.arrived)
	} else {
		l.message(c, p, l.arrived)
	}
}

// Written has nothing to go on with.
func (l *loop) Written(*links.Link) {}

// Lost counts a viewer that is gone for good: it has missed something.
func (l *loop) Lost(link *links.Link, why string) {
	c := l.of(link)
	if c.up {
		c.up = false
		l.ready--
	}
	l.res.Closed++
	l.res.fault(fmt.Sprintf("viewer %d: %s", c.Index, why))
}

// put sends a message.
func (l *loop) put(c *conn, b []byte) { l.Put(&c.Link, l.Framer.Frame(nil, b)) }

// up notes that a viewer has all its subscriptions.
func (l *loop) up(c *conn) {
	c.up = true
	l.Opened(&c.Link)
	l.ready++
}

func (l *loop) message(c *conn, p []byte, now int64) {
	m := scan(p)
	if m.op == "" {
		l.other(c, p)
		return
	}
	if m.id < 1 || m.id > len(c.subs) {
		l.res.fault(fmt.Sprintf("viewer %d: a message for subscription %d", c.Index, m.id))
		return
	}
	s := &c.subs[m.id-1]
	if l.counting {
		l.res.Items += uint64(m.items)
		l.res.Messages++
	}
	if s.watch.Marks {
		marks(p, func(us int64, n uint64) { l.marked(c, s, us, n, now) })
	}
	if s.left -= int64(m.items); s.left < 0 {
		l.res.fault(fmt.Sprintf("viewer %d: %d items beyond the credits", c.Index, -s.left))
	}
	if s.owed += int64(m.items); s.owed >= s.watch.Credits/2 {
		l.put(c, fmt.Appendf(nil, `{"op":"request","id":%d,"n":%d}`, m.id, s.owed))
		s.left += s.owed
		s.owed = 0
		if f := s.watch.focus(m.id); f != nil {
			l.put(c, f)
		}
	}
}

// marked notes one of the probe's events: none may be missing or come twice where
// nothing may be left out.
func (l *loop) marked(c *conn, s *sub, us int64, n uint64, now int64) {
	measured := l.from != 0 && us >= l.from && (l.to == 0 || us < l.to)
	switch {
	case n <= s.mark:
		l.res.fault(fmt.Sprintf("viewer %d: event %d of the probe after %d", c.Index, n, s.mark))
	case s.mark != 0 && n > s.mark+1 && s.watch.all():
		l.res.fault(fmt.Sprintf("LOST: viewer %d: events %d to %d of the probe", c.Index, s.mark+1, n-1))
	case s.mark != 0 && measured:
		l.res.Left += n - s.mark - 1
	}
	s.mark = max(s.mark, n)
	if measured {
		l.res.Latency.Add(time.Duration(now-us) * time.Microsecond)
	}
}

// other is a message that carries no items.
func (l *loop) other(c *conn, p []byte) {
	var m struct {
		Op     string `json:"op"`
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}
	if err := json.Unmarshal(p, &m); err != nil {
		l.res.fault(fmt.Sprintf("viewer %d: what cannot be read: %v", c.Index, err))
		return
	}
	switch m.Op {
	case "hello", "pong":
	case "subscribed":
		if c.waiting--; c.waiting == 0 && !c.up {
			l.up(c)
		}
	case "error":
		l.Drop(&c.Link, m.Code+": "+m.Detail)
	default:
		l.res.fault(fmt.Sprintf("viewer %d: a message %q", c.Index, m.Op))
	}
}
