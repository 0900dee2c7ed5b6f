package child

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// SetParentDeath has the process end with this one, however this one ends, and not
// of a terminal's interrupt, which is ours to answer.
func SetParentDeath(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig, cmd.SysProcAttr.Setpgid = syscall.SIGKILL, true
}

// StartOn starts cmd as a process whose threads all run on one core; negative for any.
func StartOn(cmd *exec.Cmd, core int) error {
	SetParentDeath(cmd)
	if core < 0 {
		return cmd.Start()
	}
	// The child inherits what the thread that makes it may run on.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
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
