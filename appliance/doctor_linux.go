package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

func (c *doctorCmd) examine() []finding {
	k := kernel{root: "/proc/sys", fix: c.Fix}
	fs := []finding{c.cores(), c.memory(), c.descriptors()}
	fs = append(fs, k.examine(c.Links)...)
	return append(fs, c.room(), c.sync(), c.clock())
}

func (c *doctorCmd) cores() finding {
	n := runtime.GOMAXPROCS(0)
	f := finding{Check: "cores", Level: "ok", Got: strconv.Itoa(n)}
	if n < 2 {
		f.Level, f.Want, f.Advice = "warn", "2", "loops, log and views share one core; latency suffers under load"
	}
	return f
}

func (c *doctorCmd) memory() finding {
	var si unix.Sysinfo_t
	if err := unix.Sysinfo(&si); err != nil {
		return finding{Check: "memory", Level: "warn", Got: err.Error()}
	}
	total := uint64(si.Totalram) * uint64(si.Unit)
	// 8 KB of kernel memory and 2 KB of ours a connection, and 1 GiB to work.
	want := uint64(c.Links)*10<<10 + 1<<30
	f := finding{Check: "memory", Level: "ok", Got: mib(total), Want: ""}
	if total < want {
		f.Level, f.Want, f.Advice = "warn", mib(want), fmt.Sprintf("for %d connections", c.Links)
	}
	return f
}

func mib(n uint64) string { return strconv.FormatUint(n>>20, 10) + " MiB" }

func (c *doctorCmd) descriptors() finding {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return finding{Check: "descriptors", Level: "warn", Got: err.Error()}
	}
	want := uint64(c.Links) + 1000
	f := finding{Check: "descriptors", Level: "ok", Got: fmt.Sprintf("%d, hard limit %d", r.Cur, r.Max)}
	if r.Max >= want {
		return f // serve raises the soft limit by itself
	}
	f.Level, f.Want = "warn", strconv.FormatUint(want, 10)
	f.Advice = fmt.Sprintf("the process holds at most %d connections; raise it with LimitNOFILE=%d in the unit, or ulimit -Hn", r.Max-min(r.Max, 1000), want)
	if !c.Fix {
		return f
	}
	// A limit is inherited: what started this command has the old one still, so
	// only its parent's is worth raising, which is the shell that starts serve.
	up := unix.Rlimit{Cur: max(r.Cur, want), Max: want}
	if err := unix.Prlimit(os.Getppid(), unix.RLIMIT_NOFILE, &up, nil); err != nil {
		f.Advice += "; not allowed here: " + err.Error()
		return f
	}
	f.Level, f.Fixed = "ok", true
	f.Advice = fmt.Sprintf("for what the calling shell starts from now on; a service needs LimitNOFILE=%d in its unit", want)
	return f
}

// existing returns the nearest folder above dir that exists.
func existing(dir string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "."
	}
	for {
		if _, err := os.Stat(abs); err == nil || abs == "/" {
			return abs
		}
		abs = filepath.Dir(abs)
	}
}

func (c *doctorCmd) room() finding {
	var fs unix.Statfs_t
	if err := unix.Statfs(existing(c.Data), &fs); err != nil {
		return finding{Check: "disk room", Level: "bad", Got: err.Error()}
	}
	free := fs.Bavail * uint64(fs.Bsize)
	f := finding{Check: "disk room", Level: "ok", Got: mib(free) + " free at " + existing(c.Data)}
	switch {
	case free < 512<<20:
		f.Level, f.Want, f.Advice = "bad", mib(512<<20), "writes are refused below the watermark (disk-min-mib)"
	case free < 10<<30:
		f.Level, f.Want, f.Advice = "warn", mib(10<<30), "100 million events take about 10 GiB"
	}
	return f
}

// syncs is how often the disk is asked to make 4 KiB durable.
const syncs = 50

func (c *doctorCmd) sync() finding {
	name := "disk sync"
	f, err := os.CreateTemp(existing(c.Data), ".eyrie-doctor-*")
	if err != nil {
		return finding{Check: name, Level: "bad", Got: err.Error(), Advice: "the data folder must be writable"}
	}
	defer os.Remove(f.Name())
	defer f.Close()
	var took []time.Duration
	buf := make([]byte, 4096)
	for range syncs {
		start := time.Now()
		if _, err := f.Write(buf); err != nil {
			return finding{Check: name, Level: "bad", Got: err.Error()}
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return finding{Check: name, Level: "bad", Got: err.Error()}
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	mid, high := took[syncs/2], took[syncs*98/100]
	r := finding{Check: name, Level: "ok", Got: fmt.Sprintf("median %.2f ms, p98 %.2f ms", msOf(mid), msOf(high))}
	switch {
	case mid > 20*time.Millisecond:
		r.Level, r.Want, r.Advice = "warn", "under 5 ms", "every acknowledgement waits for two syncs; use a disk with a write cache that survives power loss"
	case mid < 20*time.Microsecond:
		r.Level, r.Advice = "warn", "too fast to be true: this file system may not sync at all (tmpfs?), and a power cut would lose acknowledged events"
	}
	return r
}

func msOf(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (c *doctorCmd) clock() finding {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return finding{Check: "clock", Level: "warn", Got: err.Error()}
	}
	const unsynchronised = 5 // TIME_ERROR
	if state == unsynchronised || t.Status&unix.STA_UNSYNC != 0 {
		return finding{Check: "clock", Level: "warn", Got: "not synchronised", Advice: "run chrony or systemd-timesyncd; agents' times are compared with it"}
	}
	return finding{Check: "clock", Level: "ok", Got: "synchronised"}
}
