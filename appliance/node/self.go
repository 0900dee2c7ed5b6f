package node

import (
	"context"
	"os"
	"runtime"
	"time"

	"eyrie/appliance/api"
	"eyrie/appliance/intake"
	"eyrie/appliance/obs"
	"eyrie/engine/wire"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// self reports eyrie and its host as an agent of the space eyrie, so that a
// fresh start already shows something real, and the watcher is watched too.
type self struct {
	n     *Node
	id    string
	every time.Duration
	proc  procfs.FS
	last  reading
}

// reading is what rates are taken from.
type reading struct {
	at        time.Time
	cpu       float64 // seconds of this process
	busy, all float64 // seconds of the host's cores
	events    uint64
}

func newSelf(n *Node) *self {
	fs, _ := procfs.NewFS("/proc")
	return &self{n: n, id: "eyrie@" + n.hostname, every: n.cfg.SelfEvery.D(), proc: fs}
}

// run reports until ctx ends.
func (s *self) run(ctx context.Context) {
	s.submit(ctx, s.declaration(), s.state("running", "watching"))
	s.last = s.read()
	t := time.NewTicker(s.every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			s.submit(ctx, s.sample())
		}
	}
}

// goodbye reports that the end is wanted.
func (s *self) goodbye(ctx context.Context) { s.submit(ctx, s.state("done", "stopped")) }

func (s *self) declaration() *wire.Event {
	b := obs.Stamp()
	return &wire.Event{
		Type: wire.TypeAgent, Agent: s.id, Name: "eyrie", Role: "appliance", Host: s.n.hostname, Version: b.Version,
		HeartbeatMs: float64(3 * s.every / time.Millisecond),
		Labels:      map[string]string{"os": b.OS, "arch": b.Arch, "commit": b.Commit},
	}
}

func (s *self) state(state, msg string) *wire.Event {
	return &wire.Event{Type: wire.TypeState, Agent: s.id, Msg: msg, State: &wire.State{State: state, By: "agent"}}
}

func (s *self) submit(ctx context.Context, es ...*wire.Event) {
	sub := &intake.Submission{Space: api.SelfSpace, Owner: "eyrie"}
	for _, e := range es {
		e.TS = s.n.now().UnixNano()
		p := e.AppendMsgpack(nil)
		h, err := wire.CheckPayload(p)
		if err != nil {
			s.n.logger.Error("eyrie's own event does not pass its own check", "field", err.Field, "err", err.Msg)
			continue
		}
		sub.Events = append(sub.Events, intake.Event{Agent: s.id, Class: uint8(h.Type), Flags: h.Flags(), Key: h.Key, Payload: p})
	}
	if err := s.n.intake.Submit(ctx, sub); err != nil && ctx.Err() == nil {
		if ok, dropped := s.n.throttle.Allow("self"); ok {
			s.n.logger.Warn("eyrie could not report itself", "err", err, "since", dropped)
		}
	}
}

func (s *self) read() (r reading) {
	r.at = s.n.now()
	r.cpu = processCPU().Seconds()
	if st, err := s.proc.Stat(); err == nil {
		c := st.CPUTotal
		r.busy = c.User + c.Nice + c.System + c.IRQ + c.SoftIRQ + c.Steal
		r.all = r.busy + c.Idle + c.Iowait
	}
	r.events = s.n.log.Next()
	return r
}

// sample reads the meters. Names follow OpenTelemetry's system and process
// conventions where it has one.
func (s *self) sample() *wire.Event {
	now := s.read()
	m := map[string]float64{
		"go.goroutines":         float64(runtime.NumGoroutine()),
		"eyrie.links":           float64(s.n.intake.Links()),
		"process.descriptors":   float64(s.descriptors()),
		"process.memory.usage":  0,
		"system.memory.usage":   0,
		"system.disk.available": 0,
	}
	if v := s.n.views(); v != nil {
		m["eyrie.agents"], m["eyrie.view_lag"] = float64(v.Fleet.Len()), float64(v.Runner.Lag())
	}
	if dt := now.at.Sub(s.last.at).Seconds(); dt > 0 {
		m["process.cpu.utilization"] = round((now.cpu - s.last.cpu) / dt)
		m["eyrie.records_per_s"] = round(float64(now.events-s.last.events) / dt)
	}
	if da := now.all - s.last.all; da > 0 {
		m["system.cpu.utilization"] = round((now.busy - s.last.busy) / da)
	}
	if p, err := s.proc.Self(); err == nil {
		if st, err := p.Stat(); err == nil {
			m["process.memory.usage"] = float64(st.ResidentMemory())
		}
	}
	if mi, err := s.proc.Meminfo(); err == nil && mi.MemTotalBytes != nil && mi.MemAvailableBytes != nil {
		m["system.memory.usage"] = float64(*mi.MemTotalBytes - *mi.MemAvailableBytes)
	}
	if l, err := s.proc.LoadAvg(); err == nil {
		m["system.load_1m"] = l.Load1
	}
	var fs unix.Statfs_t
	if unix.Statfs(s.n.cfg.Data, &fs) == nil {
		m["system.disk.available"] = float64(fs.Bavail) * float64(fs.Bsize)
	}
	s.last = now
	return &wire.Event{Type: wire.TypeMetrics, Agent: s.id, Name: "host", Metrics: m, Unit: map[string]string{
		"process.memory.usage": "By", "system.memory.usage": "By", "system.disk.available": "By",
		"process.cpu.utilization": "cores", "system.cpu.utilization": "1", "eyrie.records_per_s": "1/s",
	}}
}

func round(x float64) float64 { return float64(int64(x*1e4+0.5)) / 1e4 }

// descriptors counts what is open in the process' own table and in the loops'.
func (s *self) descriptors() (n int) {
	// Since Linux 6.2 the folder's size is their number, and it need not be read.
	if st, err := os.Stat("/proc/self/fd"); err == nil && st.Size() > 0 {
		n = int(st.Size())
	} else if d, err := os.ReadDir("/proc/self/fd"); err == nil {
		n = len(d)
	}
	if s.n.tables != nil {
		n += s.n.tables.Descriptors()
	}
	return n
}
