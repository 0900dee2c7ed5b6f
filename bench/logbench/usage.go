package logbench

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"eyrie/bench/host"
)

// Usage is what a process, or a server of several, has used up to an instant.
type Usage struct {
	CPU     time.Duration `json:"cpu"`
	Written uint64        `json:"written"` // bytes it caused to be written to the device
}

// Sub is what was used since.
func (u Usage) Sub(since Usage) Usage { return Usage{u.CPU - since.CPU, u.Written - since.Written} }

// own is this process' usage, to the microsecond.
func own() (Usage, error) {
	cpu, err := cpuTime()
	if err != nil {
		return Usage{}, err
	}
	p, err := host.Look(os.Getpid())
	return Usage{CPU: cpu, Written: p.Written}, err
}

// OfServer is the usage of a process and its children. Of those that have ended
// the kernel adds what they used to their parent's account.
func OfServer(pid int) (Usage, error) {
	p, err := host.Look(pid)
	if err != nil {
		return Usage{}, err
	}
	u := Usage{p.CPU, p.Written}
	_, ended := statOf(pid)
	u.CPU += ended
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return u, err
	}
	for _, dir := range all {
		child, _ := strconv.Atoi(filepath.Base(dir))
		if parent, _ := statOf(child); parent != pid {
			continue
		}
		if c, err := host.Look(child); err == nil {
			u.CPU += c.CPU
			u.Written += c.Written
		}
	}
	return u, nil
}

// statOf returns a process' parent, and the CPU of its children that have ended.
func statOf(pid int) (parent int, ended time.Duration) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 15 {
		return 0, 0
	}
	parent, _ = strconv.Atoi(f[1])
	user, _ := strconv.ParseInt(f[13], 10, 64)
	sys, _ := strconv.ParseInt(f[14], 10, 64)
	return parent, time.Duration(user+sys) * (time.Second / 100)
}
