package host

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// one is a process as it is found beside others.
type one struct {
	name   string
	parent int
	cpu    time.Duration // to the tick
}

// everyone reads all processes; those that end meanwhile are left out.
func everyone() map[int]one {
	out := map[int]one{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		if pid, p, ok := parseStat(string(b)); ok {
			out[pid] = p
		}
	}
	return out
}

// parseStat reads a process' stat: pid (name) state ppid … utime stime …
func parseStat(s string) (pid int, p one, ok bool) {
	open, end := strings.IndexByte(s, '('), strings.LastIndexByte(s, ')')
	if open < 0 || end < open {
		return 0, p, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(s[:open]))
	f := strings.Fields(s[end+1:])
	if err != nil || len(f) < 13 {
		return 0, p, false
	}
	user, _ := strconv.ParseUint(f[11], 10, 64)
	sys, _ := strconv.ParseUint(f[12], 10, 64)
	p.name, p.cpu = s[open+1:end], time.Duration(user+sys)*tick
	p.parent, err = strconv.Atoi(f[1])
	return pid, p, err == nil
}

// busiest names the processes that used most between two looks, of those that self has
// not started; share is of all, the CPU time that there was.
func busiest(from, to map[int]one, self int, all time.Duration) string {
	type user struct {
		pid  int
		used time.Duration
	}
	var users []user
	for pid, p := range to {
		used := p.cpu
		if was, ok := from[pid]; ok && was.name == p.name {
			used -= was.cpu
		}
		if float64(used) > busyMin*float64(all) && !within(to, pid, self) {
			users = append(users, user{pid, used})
		}
	}
	slices.SortFunc(users, func(a, b user) int { return cmp.Or(cmp.Compare(b.used, a.used), a.pid-b.pid) })
	var said []string
	for _, u := range users[:min(len(users), busyNamed)] {
		said = append(said, fmt.Sprintf("%s (pid %d) %.0f %%", printable(to[u.pid].name), u.pid, 100*float64(u.used)/float64(all)))
	}
	return strings.Join(said, ", ")
}

// Which processes are named: with this share of the cores, and at most so many.
const (
	busyMin   = 0.02
	busyNamed = 3
)

// within tells whether a process is root, or was started by it or by one that was.
func within(all map[int]one, pid, root int) bool {
	for range len(all) {
		if pid == root {
			return true
		}
		p, ok := all[pid]
		if !ok {
			return false
		}
		pid = p.parent
	}
	return false
}

// printable is a name without what a terminal would act on.
func printable(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, name)
}
