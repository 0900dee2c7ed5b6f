package node

import (
	"bytes"
	"eyrie/appliance/config"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A background goroutine's thread yields, others do not, and the thread is gone
// with the goroutine, or never runs another: nobody else is put last.
func TestBackgroundYields(t *testing.T) {
	nice := func(tid int) (int, error) {
		// The system call returns 20 − nice.
		p, err := unix.Getpriority(unix.PRIO_PROCESS, tid)
		return 20 - p, err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	own, err := nice(unix.Gettid())
	if err != nil {
		t.Fatal(err)
	}
	for want, begin := range map[int]func(){backgroundNice: background, upkeepNice: upkeep} {
		tids, end := make(chan int), make(chan struct{})
		go func() {
			begin()
			tids <- unix.Gettid()
			<-end
		}()
		tid := <-tids
		if n, err := nice(tid); err != nil || n != max(own, want) {
			t.Errorf("nice %d, %v; want %d", n, err, max(own, want))
		}
		if n, err := nice(unix.Gettid()); err != nil || n != own {
			t.Errorf("this thread has nice %d, %v; want %d as before", n, err, own)
		}
		close(end)
		if tid == os.Getpid() {
			continue // the process' first thread: the runtime parks it for good
		}
		for until := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
			if _, err := nice(tid); err == unix.ESRCH {
				break
			}
			if time.Now().After(until) {
				t.Fatal("the thread outlives its goroutine")
			}
		}
	}
}

// TestYieldToIngest runs in a process of its own, since what it does to threads
// cannot be taken back: afterwards those of ingest are where they were, and all
// others behind.
func TestYieldToIngest(t *testing.T) {
	if os.Getenv("EYRIE_TEST_YIELD") == "" {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestYieldToIngest$", "-test.v")
		cmd.Env = append(os.Environ(), "EYRIE_TEST_YIELD=1")
		if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS")) {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	p, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	was := 20 - p
	some := config.Duration(10 * time.Second)
	n, err := Open(Options{
		Config: &config.Config{Data: t.TempDir(), Ingest: "127.0.0.1:0", Web: "127.0.0.1:0", Loops: 2, RingMiB: 4, CacheMiB: 16, DiskMin: 1,
			Save: some, IdleTimeout: some, Ping: some, Drain: some, SelfEvery: some},
		Settings: func([]config.Tuned) []config.Value { return nil }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	defer n.Stop(t.Context())
	// The log's sealer begins on a goroutine of its own.
	for until := time.Now().Add(30 * time.Second); was < upkeepNice && !anyAt(t, upkeepNice) && time.Now().Before(until); {
		time.Sleep(time.Millisecond)
	}
	n.YieldToIngest()
	ahead, behind, last := 0, 0, 0
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		tid, _ := strconv.Atoi(task.Name())
		p, err := unix.Getpriority(unix.PRIO_PROCESS, tid)
		if err != nil {
			continue // it has ended
		}
		want := max(was, backgroundNice)
		if _, ok := n.ingest.Load(tid); ok {
			want = was
			ahead++
		} else if 20-p == max(was, upkeepNice) && want != 20-p {
			last++
			continue
		} else {
			behind++
		}
		if 20-p != want {
			t.Errorf("thread %d has nice %d, want %d", tid, 20-p, want)
		}
	}
	if most := 2; was < upkeepNice && (last == 0 || last > most) { // that seals, and one that may merge
		t.Errorf("%d threads behind the views, want 1 to %d", last, most)
	}
	if ahead != 1+3+2 || behind < 2 { // intake, the log's stages, the loops
		t.Errorf("%d threads of ingest, want 6; %d others", ahead, behind)
	}
}

// anyAt tells whether a thread of this process has that nice.
func anyAt(t *testing.T, nice int) bool {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		tid, _ := strconv.Atoi(task.Name())
		if p, err := unix.Getpriority(unix.PRIO_PROCESS, tid); err == nil && 20-p == nice {
			return true
		}
	}
	return false
}
