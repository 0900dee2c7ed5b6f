package load

import (
	"time"

	"eyrie/bench/workload"
	"eyrie/engine/wire"
)

// encoded is what a link that sends frames made in advance has of them. What is
// offered while the kernel takes nothing waits here as a mere count.
type encoded struct {
	frames  []*workload.Encoded
	next    int    // of frames
	seq     uint64 // next number
	waiting uint64 // frames offered and not yet numbered
	since   time.Duration
}

// encodedSendBuffer is the most that the kernel holds for a link of ours.
const encodedSendBuffer = 128 << 10

// waitingMax is how many frames a link that gives up keeps waiting.
const waitingMax = 50

// badEvery is which links send an event in each first frame that the server has
// to refuse.
const badEvery = 8

// encode makes the link's frames.
func (l *loop) encode(c *conn) {
	c.enc = &encoded{seq: 1}
	now := time.Now().UnixMilli()
	for i := range l.job.Encoded {
		if l.job.Critical {
			c.enc.frames = append(c.enc.frames, l.Framer.EncodeCritical(c.stream, now))
			continue
		}
		c.enc.frames = append(c.enc.frames, l.Framer.Encode(c.stream, l.job.Shape.Frame, now, i == 0 && c.Index%badEvery == 1))
	}
}

// offer adds a frame that is due to what the link has to send.
func (l *loop) offer(c *conn, due time.Duration) {
	e := c.enc
	if e.waiting++; e.waiting == 1 {
		e.since = due
	}
	l.push(c)
	if MannerOf(c.Index) == GivesUp && !l.job.Critical && e.waiting > waitingMax && c.up {
		n := e.waiting * uint64(l.job.Shape.Frame)
		l.put(c, l.Framer.Frame(nil, wire.AppendLost(nil, l.codec, e.seq, e.seq+n-1, "the client holds no more")))
		e.seq += n
		c.book.Lost += n
		e.waiting = 0
	}
}

// push numbers and writes what waits, as far as the kernel takes it.
func (l *loop) push(c *conn) {
	e := c.enc
	for l.running && e.waiting > 0 && c.Idle() && c.up && c.Live() {
		f := e.frames[e.next]
		e.next = (e.next + 1) % len(e.frames)
		s := sent{first: e.seq, last: e.seq + uint64(f.N) - 1, due: e.since}
		if l.res.FirstSend == 0 {
			l.res.FirstSend = time.Now().UnixNano()
		}
		e.waiting--
		e.since = l.Now()
		frame := f.At(e.seq)
		e.seq = s.last + 1
		l.tidy(c)
		c.flight = append(c.flight, s)
		l.flying++
		l.put(c, frame)
	}
}

// fillEncoded keeps the window of a closed loop full.
func (l *loop) fillEncoded(c *conn) {
	for c.Live() && len(c.flight)-c.head < l.window && c.Idle() {
		c.enc.waiting, c.enc.since = 1, l.Now()
		l.push(c)
	}
}

// books are those of all links.
func (l *loop) books() (all []Book) {
	for _, c := range l.conns {
		if c != nil && c.enc != nil {
			b := c.book
			b.Conn, b.Sent, b.Acked = c.Index, c.enc.seq-1, c.acked
			b.Waiting = c.enc.waiting * uint64(l.job.Shape.Frame)
			all = append(all, b)
		}
	}
	return all
}
