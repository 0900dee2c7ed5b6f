package child

import (
	"os/exec"
	"runtime"
	"testing"
	"time"
)

// A child lives on when the thread ends on which it was asked for, and any other
// but the one that made it.
func TestChildOutlivesThreads(t *testing.T) {
	p := make(chan *Process)
	for range 20 { // more than there are threads: some are new
		go func() {
			runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
			q, err := Start(exec.Command("cat"))
			if err != nil {
				t.Error(err)
			}
			p <- q
		}()
	}
	var all []*Process
	for range 20 {
		if q := <-p; q != nil {
			all = append(all, q)
		}
	}
	time.Sleep(50 * time.Millisecond) // the threads end
	for _, q := range all {
		var answer string
		if err := q.Ask("here", &answer); err != nil || answer != "here" {
			t.Errorf("%q, %v", answer, err)
		}
		q.End(Grace)
	}
}
