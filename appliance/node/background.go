package node

import (
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/cockroachdb/pebble/v2"
)

// Views, and the merging in their store, work in the background of those who
// receive, store and acknowledge: with all cores busy an acknowledgement must
// not wait for them. The runtime knows no priorities, and a goroutine that
// comes back from a system call waits up to 10 ms for a place to run for every
// one that computes. So background goroutines keep to threads of their own that
// the kernel puts last, and the runtime gets places enough that none of them
// holds one that ingest needs. See docs/adr/0013-views-behind-ingest.md.

const (
	// backgroundWorkers bounds the goroutines that compute in the background
	// at once: one a view, the one that reads ahead, the one that commits, the
	// runner, and flush and merge of the views store.
	backgroundWorkers = 8
	// backgroundNice is a ninth of a core's share against one thread of ingest:
	// enough that a thread reaches its next safe point soon when the garbage
	// collector stops the world.
	backgroundNice = 10
	// upkeepNice is a third of a background thread's share: what can wait for minutes,
	// sealing the log and merging the store of the views, comes after what people see.
	// With all cores busy these took more than half of the CPU while the views fell
	// behind, each of whose hand-overs waited for its turn among them. What somebody
	// asked for, such as compacting by hand, is at backgroundNice.
	upkeepNice = 15
)

// background keeps the calling goroutine to its thread, for good, and puts that
// behind ingest. The thread ends with the goroutine. Where the kernel refuses, nothing
// is lost but the preference.
func background() {
	runtime.LockOSThread()
	putBehind(unix.Gettid(), backgroundNice)
}

// upkeep is background for what may come last.
func upkeep() {
	runtime.LockOSThread()
	putBehind(unix.Gettid(), upkeepNice)
}

// foreground keeps the calling goroutine, one of those that an event passes on its
// way to its acknowledgement, to its thread, for good. YieldToIngest leaves that
// thread where it is.
func (n *Node) foreground() {
	runtime.LockOSThread()
	n.ingest.Store(unix.Gettid(), true)
	n.arriving.Done()
}

// YieldToIngest puts all other threads of the process behind those that receive,
// store and acknowledge, and with them the threads that they will start: the
// garbage collector and the stores' own work take what ingest leaves. It is for
// a process that is this node and nothing else, after Start.
func (n *Node) YieldToIngest() {
	n.arriving.Wait()
	for again := true; again; { // a thread may have started another meanwhile
		again = false
		tasks, _ := os.ReadDir("/proc/self/task")
		for _, task := range tasks {
			tid, err := strconv.Atoi(task.Name())
			if _, ingest := n.ingest.Load(tid); ingest || err != nil {
				continue
			}
			again = putBehind(tid, backgroundNice) || again
		}
	}
}

// putBehind gives the thread that nice, and reports whether it had a lower one until now.
func putBehind(tid, nice int) bool {
	// The system call returns 20 − nice; a process that was started behind others stays there.
	p, err := unix.Getpriority(unix.PRIO_PROCESS, tid)
	return err == nil && 20-p < nice && unix.Setpriority(unix.PRIO_PROCESS, tid, nice) == nil
}

// behind puts the work of a store in the background: it runs on a goroutine of
// its own for each flush and each merge.
func behind(o *pebble.Options) {
	o.EventListener = &pebble.EventListener{
		FlushBegin:      func(pebble.FlushInfo) { background() },
		CompactionBegin: func(pebble.CompactionInfo) { upkeep() },
	}
}
