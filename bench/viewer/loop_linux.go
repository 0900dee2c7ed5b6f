package viewer

import (
	"errors"
	"fmt"
	"io"
	"time"

	"eyrie/bench/child"
	"eyrie/bench/links"
	"eyrie/bench/workload"
	"eyrie/engine/wire"

	"golang.org/x/sys/unix"
)

const (
	connectTries = 100
	readBytes    = 1 << 20 // as much as the server queues for a viewer
)

// loop is the child's one thread: all viewers, all state.
type loop struct {
	*links.Loop
	job Job
	out io.Writer

	conns []*conn // by index from job.From
	want  int     // viewers to hold
	ready int
	asked bool // an open order waits for its answer

	res      Result
	counting bool
	arrived  int64 // Unix µs, of what is read now
	from, to int64 // Unix µs that the measurement covers; to is 0 while it goes on
	used     int64 // CPU of the process at its beginning
}

func newLoop(job Job, out io.Writer) (*loop, error) {
	if len(job.Kinds) == 0 || job.To < job.From {
		return nil, errors.New("no viewers are asked for")
	}
	for _, k := range job.Kinds {
		for _, w := range k {
			if w.Credits < 2 {
				return nil, fmt.Errorf("credits: got %d, want 2 or more", w.Credits)
			}
		}
	}
	cfg := links.Config{
		Addr: job.Addr, Path: "/v1/live", Protocol: "eyrie.live.v1", Key: job.Key,
		Source: [4]byte{127, 0, 1, 2}, Sources: job.Sources, Tries: connectTries, ReadBytes: readBytes,
	}
	if job.Centrifuge {
		cfg.Path, cfg.Protocol = centrifugePath, centrifugeProtocol
	}
	all, err := links.New(cfg, workload.NewFramer(wire.JSON, uint64(job.From)+1))
	return &loop{Loop: all, job: job, out: out, conns: make([]*conn, max(job.To-job.From, 0))}, err
}

// Turn answers what has come to pass.
func (l *loop) Turn() time.Duration {
	if l.asked && (l.ready >= l.want || l.res.Closed > 0) {
		l.asked = false
		var a answer
		if l.ready < l.want {
			a.Error = fmt.Sprintf("%d viewers cannot be held: %v", l.res.Closed, l.res.Errors)
		}
		l.say(a)
	}
	return -1
}

// Take obeys.
func (l *loop) Take(o order) {
	switch o.Do {
	case doOpen:
		l.want, l.asked = min(o.To, len(l.conns)), true
		for i := range l.want {
			if l.conns[i] == nil {
				l.conns[i] = l.newConn(l.job.From + i)
				l.Open(&l.conns[i].Link, 0)
			}
		}
		return // answered when they are there
	case doBegin:
		l.res = Result{Closed: l.res.Closed}
		l.counting, l.from, l.to, l.used = true, time.Now().UnixMicro(), 0, cpu()
		l.say(answer{})
	case doEnd:
		l.counting, l.to = false, time.Now().UnixMicro()
		l.res.CPU = cpu() - l.used
		l.say(answer{})
	case doLook:
		l.say(answer{Seen: l.seen()})
	case doResult:
		l.say(answer{Result: &l.res})
	}
}

// seen is the newest of the probe's events that every viewer which watches it
// has seen.
func (l *loop) seen() uint64 {
	least := ^uint64(0)
	for _, c := range l.conns {
		if c == nil {
			continue
		}
		for i := range c.subs {
			if s := &c.subs[i]; s.watch.Marks {
				least = min(least, s.mark)
			}
		}
	}
	return least
}

func (l *loop) say(a answer) { _, _ = l.out.Write(child.Line(a)) }

// cpu is what this process has used so far, in ns.
func cpu() int64 {
	var r unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return r.Utime.Nano() + r.Stime.Nano()
}
