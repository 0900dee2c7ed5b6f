package child

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// The kernel kills a child when the thread that made it ends (prctl(2), PR_SET_PDEATHSIG),
// and threads of a Go process end: with a goroutine that was locked to its own. So one
// thread makes all children, and never ends.
var keeper = sync.OnceValue(func() chan<- func() {
	starts := make(chan func())
	go keep(starts)
	return starts
})

func keep(starts <-chan func()) {
	runtime.LockOSThread()
	for start := range starts {
		start()
	}
}

// Launch starts cmd, which ends with this process, however this one ends, and not of
// a terminal's interrupt, which is ours to answer. It is safe for concurrent use.
func Launch(cmd *exec.Cmd) error { return LaunchOn(cmd, -1) }

// LaunchOn is Launch of a process whose threads all run on one core; negative for any.
func LaunchOn(cmd *exec.Cmd, core int) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig, cmd.SysProcAttr.Setpgid = syscall.SIGKILL, true
	failed := make(chan error)
	keeper() <- func() { failed <- startOn(cmd, core) }
	return <-failed
}

func startOn(cmd *exec.Cmd, core int) error {
	if core < 0 {
		return cmd.Start()
	}
	// The child inherits what the thread that makes it may run on.
	var was, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &was); err != nil {
		return err
	}
	one.Set(core)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("pin to core %d: %w", core, err)
	}
	err := cmd.Start()
	return errors.Join(err, unix.SchedSetaffinity(0, &was))
}
