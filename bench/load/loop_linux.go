package load

import (
	"fmt"
	"io"
	"math"
	"time"

	"eyrie/bench/child"
	"eyrie/bench/ledger"
	"eyrie/bench/links"
	"eyrie/bench/workload"
	"eyrie/engine/wire"
)

const (
	retryAfter    = 20 * time.Millisecond  // before a lost link is tried again
	connectTries  = 1500                   // for one link, 20 ms apart
	triesMax      = 3                      // of a handshake
	progressEvery = 500 * time.Millisecond // between two words to the parent
	flightMax     = 4096                   // frames not acknowledged on one link, open-loop
	readBytes     = 256 << 10
)

// loop is the child's one thread: all links, all state.
type loop struct {
	*links.Loop
	job   Job
	maker *workload.Maker
	codec wire.Codec
	out   io.Writer

	conns []*conn // by index from job.From
	want  int     // links to hold
	ready int
	asked bool // an open order waits for its answer

	running  bool
	stopping bool
	cutting  bool
	window   int
	interval float64 // ns between two frames over all links; 0 = closed loop
	start    time.Duration
	next     uint64 // frame of the schedule
	base     uint64 // the one that was due at start
	flying   int    // frames not acknowledged
	away     int    // links that are waited for: see storm_linux.go
	waited   bool   // an order to wait for them has no answer yet
	res      Result
	looked   Result // as it was at the last look
	sent     uint64 // bytes before res
	told     time.Duration

	ledger  *ledger.Writer
	scratch []byte
}

func newLoop(job Job, out io.Writer) (*loop, error) {
	maker, err := workload.NewMaker(job.Shape)
	if err != nil {
		return nil, err
	}
	if job.Source == 0 {
		job.Source = 2
	}
	l := &loop{job: job, maker: maker, codec: job.Codec, out: out, conns: make([]*conn, job.To-job.From)}
	cfg := links.Config{
		Addr: job.Addr, Path: "/v1/agent", Protocol: l.codec.Subprotocol(), Key: job.Key,
		Source: [4]byte{127, 0, 0, job.Source}, Sources: job.Sources, Handshakes: job.Handshakes, Tries: connectTries, ReadBytes: readBytes,
	}
	if job.Reconnect {
		cfg.Tries = math.MaxInt
	}
	if job.Encoded > 0 { // what the server does not read is to wait here, not in the kernel
		cfg.SendBuffer = encodedSendBuffer
	}
	if l.Loop, err = links.New(cfg, workload.NewFramer(l.codec, job.Shape.Seed+uint64(job.From))); err != nil {
		return nil, err
	}
	if job.Ledger != "" {
		if l.ledger, err = ledger.Create(job.Ledger); err != nil {
			l.Close()
			return nil, err
		}
	}
	return l, nil
}

// Take obeys.
func (l *loop) Take(o order) {
	switch o.Do {
	case doOpen:
		l.want, l.asked = min(o.To, len(l.conns)), true
		for i := range l.want {
			if l.conns[i] == nil {
				c := &conn{Link: links.Link{Index: l.job.From + i}}
				l.conns[i] = c
				l.Open(&c.Link, 0)
			}
		}
	case doRun:
		l.res, l.looked, l.sent = Result{}, Result{}, l.Sent
		l.running, l.stopping = true, false
		l.window = max(o.Window, 1)
		l.start, l.next, l.base, l.interval = l.Now(), 0, 0, 0
		if o.Rate > 0 {
			l.interval = 1e9 * float64(l.job.Shape.Frame) / o.Rate
			return
		}
		for _, c := range l.conns[:l.want] {
			l.fill(c)
		}
	case doPace:
		if l.running && l.interval > 0 && o.Rate > 0 {
			l.due()
			l.start, l.base, l.interval = l.Now(), l.next, 1e9*float64(l.job.Shape.Frame)/o.Rate
			l.Arm(0)
		}
	case doLook:
		l.res.Bytes = l.Sent - l.sent
		l.say(answer{Says: saysLooked, Result: l.res.since(&l.looked)})
		l.looked = l.res
	case doWait, doCut:
		l.wait(o.Do == doCut)
	case doStop:
		l.running, l.stopping = false, true
		l.Arm(0)
	}
}

// Turn sends what is due and answers what has come to pass.
func (l *loop) Turn() time.Duration {
	if l.running && l.interval > 0 {
		l.due()
	}
	l.report()
	if l.running || l.stopping {
		return progressEvery
	}
	return -1
}

// due sends the frames whose time has come. A link that is too far behind holds
// the schedule up; its frames keep the time at which they were due.
func (l *loop) due() {
	for {
		at := l.start + time.Duration(float64(l.next-l.base)*l.interval)
		wait := at - l.Now()
		if wait > 0 {
			l.Arm(wait)
			return
		}
		c := l.conns[int(l.next%uint64(l.want))]
		if c.enc != nil {
			l.offer(c, at)
			l.res.Offered += uint64(l.job.Shape.Frame)
			l.next++
			continue
		}
		if len(c.flight)-c.head >= flightMax {
			l.res.Deferred++
			l.Arm(time.Millisecond)
			return
		}
		l.send(c, at)
		l.next++
	}
}

// report answers what has come to pass.
func (l *loop) report() {
	if l.asked && l.ready >= l.want {
		l.asked = false
		l.say(answer{Says: saysOpen})
	} else if l.asked && l.res.Closed > 0 {
		l.asked = false
		l.say(answer{Says: saysFailed, Error: fmt.Sprintf("%d links cannot be held: %v", l.res.Closed, l.res.Errors)})
	}
	if l.waited && l.away == 0 {
		l.waited = false
		l.say(answer{Says: saysBack, Result: &Result{Welcome: l.res.Welcome, Caught: l.res.Caught}})
	}
	if l.stopping && l.flying == 0 {
		l.stopping = false
		if l.ledger != nil {
			if err := l.ledger.Flush(); err != nil {
				l.res.fault("ledger: " + err.Error())
			}
		}
		l.res.Bytes, l.res.Books = l.Sent-l.sent, l.books()
		l.say(answer{Says: saysStopped, Result: &l.res})
		return
	}
	if now := l.Now(); l.running && now-l.told >= progressEvery {
		l.told = now
		l.say(answer{Says: saysProgress, Result: &Result{Events: l.res.Events, Shed: l.res.Shed, Nacked: l.res.Nacked}})
	}
}

func (l *loop) say(a answer) { _, _ = l.out.Write(child.Line(a)) }
