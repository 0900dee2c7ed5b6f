package watch

import (
	"time"

	"github.com/prometheus/procfs"
)

// meter measures a process and all that descend from it, through /proc.
type meter struct {
	pid  int
	fs   procfs.FS
	ok   bool
	cpu  float64
	when time.Time
}

func newMeter(pid int) *meter {
	fs, err := procfs.NewDefaultFS()
	return &meter{pid: pid, fs: fs, ok: err == nil}
}

func (m *meter) read(now time.Time) usage {
	var u usage
	if !m.ok {
		return u
	}
	procs, err := m.fs.AllProcs()
	if err != nil {
		return u
	}
	stats := map[int]procfs.ProcStat{}
	children := map[int][]int{}
	for _, p := range procs {
		if s, err := p.Stat(); err == nil { // one that ended meanwhile is left out
			stats[s.PID] = s
			children[s.PPID] = append(children[s.PPID], s.PID)
		}
	}
	for todo := []int{m.pid}; len(todo) > 0; {
		pid := todo[0]
		todo = append(todo[1:], children[pid]...)
		s, ok := stats[pid]
		if !ok {
			continue
		}
		u.known = true
		u.processes++
		u.cpu += s.CPUTime() + float64(s.CUTime+s.CSTime)/userHZ
		u.rss += int64(s.ResidentMemory())
		if p, err := m.fs.Proc(pid); err == nil {
			if io, err := p.IO(); err == nil {
				u.io = true
				u.read += int64(io.ReadBytes)
				u.write += int64(io.WriteBytes)
			}
		}
	}
	if u.known && !m.when.IsZero() && now.After(m.when) {
		u.cpuPercent, u.rate = max(0, 100*(u.cpu-m.cpu)/now.Sub(m.when).Seconds()), true
	}
	if u.known {
		m.cpu, m.when = u.cpu, now
	}
	return u
}

// userHZ is the kernel's unit of CPU times in /proc: the same on every Linux that Go runs on.
const userHZ = 100
