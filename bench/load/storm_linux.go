package load

import "time"

// wait begins to wait for every link to be lost and come back; with cut it
// resets them all first, so that they are lost now.
func (l *loop) wait(cut bool) {
	l.waited, l.away = true, 0
	l.res.Welcome, l.res.Caught = 0, 0
	for _, c := range l.conns[:l.want] {
		c.away, c.until = true, 0
		l.away++
	}
	if !cut {
		return
	}
	l.cutting = true
	for _, c := range l.conns[:l.want] {
		l.Reset(&c.Link, "cut")
	}
	l.cutting = false
}

// home notes that a link is welcome again and what it still has to hear of.
func (l *loop) home(c *conn) {
	if !c.away || c.until != 0 {
		return
	}
	l.res.Welcome = time.Now().UnixNano()
	c.until = max(c.stream.Seq()-1, 1)
	l.caughtUp(c)
}

func (l *loop) caughtUp(c *conn) {
	if !c.away || c.until == 0 || c.head < len(c.flight) && c.flight[c.head].first <= c.until {
		return
	}
	c.away = false
	l.away--
	l.res.Caught = time.Now().UnixNano()
}
