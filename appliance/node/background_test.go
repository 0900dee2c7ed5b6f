package node

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A background goroutine's thread yields, others do not, and the thread is gone
// with the goroutine: nobody else is put last.
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
	tids, end := make(chan int), make(chan struct{})
	go func() {
		background()
		tids <- unix.Gettid()
		<-end
	}()
	tid := <-tids
	if n, err := nice(tid); err != nil || n != max(own, backgroundNice) {
		t.Errorf("nice %d, %v; want %d", n, err, max(own, backgroundNice))
	}
	if n, err := nice(unix.Gettid()); err != nil || n != own {
		t.Errorf("this thread has nice %d, %v; want %d as before", n, err, own)
	}
	close(end)
	for until := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := nice(tid); err == unix.ESRCH {
			return
		}
		if time.Now().After(until) {
			t.Fatal("the thread outlives its goroutine")
		}
	}
}
