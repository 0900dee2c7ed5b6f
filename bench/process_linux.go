package bench

import (
	"os/exec"
	"syscall"
	"time"
)

// setParentDeath has the process end with this one, however this one ends, and not
// of a terminal's interrupt, which is ours to answer.
func setParentDeath(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// selfCPU is what this process and its children that were waited for have used.
func selfCPU() (d time.Duration) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var r syscall.Rusage
		if err := syscall.Getrusage(who, &r); err == nil {
			d += time.Duration(r.Utime.Nano() + r.Stime.Nano())
		}
	}
	return d
}
