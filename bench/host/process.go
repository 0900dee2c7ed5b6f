package host

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU times in /proc (USER_HZ), the same on every Linux.
const tick = time.Second / 100

// Process is what a process has used up to an instant.
type Process struct {
	CPU     time.Duration
	RSS     uint64 // resident, bytes
	Anon    uint64 // resident and its own: heap, stacks
	Written uint64 // bytes it caused to be written to the device
	Threads int
	Open    int // descriptors, in all the tables that its threads have
}

// Look reads a process.
func Look(pid int) (p Process, err error) {
	dir := "/proc/" + strconv.Itoa(pid)
	b, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return p, err
	}
	// The name, in brackets, may hold blanks: what follows begins with field 3.
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 18 {
		return p, fmt.Errorf("%s/stat has %d fields", dir, len(f)+2)
	}
	user, _ := strconv.ParseUint(f[11], 10, 64)
	sys, _ := strconv.ParseUint(f[12], 10, 64)
	if p.CPU, _ = cpuOf(pid); p.CPU == 0 {
		p.CPU = time.Duration(user+sys) * tick
	}
	p.Threads, _ = strconv.Atoi(f[17])
	if v, ok := field(dir+"/status", "VmRSS"); ok {
		p.RSS = number(v) << 10
	}
	if v, ok := field(dir+"/status", "RssAnon"); ok {
		p.Anon = number(v) << 10
	}
	if v, ok := field(dir+"/io", "write_bytes"); ok {
		p.Written = number(v)
	}
	p.Open = open(pid)
	return p, nil
}

// CPU returns what several processes have used together; those that are gone
// count nothing.
func CPU(pids ...int) (d time.Duration) {
	for _, pid := range pids {
		if p, err := Look(pid); err == nil {
			d += p.CPU
		}
	}
	return d
}
