//go:build linux

package host

import (
	"os"
	"runtime"
	"testing"
	"time"
)

func TestLookAtThisProcess(t *testing.T) {
	before, err := Look(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	clock := ReadClock()
	after, used := before, time.Duration(0)
	began := time.Now()
	for used < 100*time.Millisecond && time.Since(began) < 30*time.Second { // others may have the cores for a while
		for at := time.Now(); time.Since(at) < 100*time.Millisecond; {
		}
		if after, err = Look(os.Getpid()); err != nil {
			t.Fatal(err)
		}
		used = after.CPU - before.CPU
	}
	now := ReadClock()
	if most := time.Since(began)*time.Duration(runtime.NumCPU()) + 100*time.Millisecond; used < 100*time.Millisecond || used > most {
		t.Errorf("%v of CPU in %v of work", used, time.Since(began))
	}
	if after.RSS < 1<<20 || after.Anon > after.RSS || after.Threads < 1 || after.Open < 3 {
		t.Errorf("%+v", after)
	}
	if now.Busy-clock.Busy < 30*time.Millisecond {
		t.Errorf("the machine was busy for %v", now.Busy-clock.Busy)
	}
	if _, err := Look(1 << 30); err == nil {
		t.Error("a process that does not exist was read")
	}
}

func TestNoise(t *testing.T) {
	at := time.Now()
	from := Clock{At: at}
	to := Clock{At: at.Add(10 * time.Second), Busy: 12 * time.Second, Steal: time.Second}
	for _, c := range []struct {
		ours         time.Duration
		steal        time.Duration
		other, taken float64
		trusted      bool
	}{
		{ours: 12 * time.Second, other: 0, trusted: true},
		{ours: 11 * time.Second, other: 0.05, trusted: true},
		{ours: 6 * time.Second, other: 0.3, trusted: false},
		{ours: 11 * time.Second, steal: time.Second, other: 0, taken: 0.05, trusted: false},
	} {
		to.Steal = c.steal
		n := Since(from, to, 2, c.ours)
		if n.Trusted != c.trusted || n.OtherShare != c.other || n.StealShare != c.taken || n.Trusted != (n.Why == "") {
			t.Errorf("%+v: got %+v", c, n)
		}
	}
}

func TestDescribe(t *testing.T) {
	m := Describe(t.TempDir())
	if m.Cores < 1 || m.Memory < 64 || m.Kernel == "" || m.Disk == "" {
		t.Errorf("%+v", m)
	}
	if Kernel() == 0 {
		t.Error("the kernel holds nothing")
	}
}

// A process that just did little has used something, and of another process the
// same is known.
func TestCPUOfLittle(t *testing.T) {
	for _, pid := range []int{os.Getpid(), os.Getppid()} {
		if d, ok := cpuOf(pid); !ok || d <= 0 {
			t.Errorf("process %d used %v, %t", pid, d, ok)
		}
	}
	before := CPU(os.Getpid())
	for range 100 {
		if _, err := os.Stat("/"); err != nil {
			t.Fatal(err)
		}
	}
	if d := CPU(os.Getpid()) - before; d <= 0 || d%tick == 0 {
		t.Errorf("a hundred calls took %v of CPU", d)
	}
	if _, ok := cpuOf(1 << 22); ok { // one more than there can be
		t.Error("a process that is not there has used something")
	}
}
