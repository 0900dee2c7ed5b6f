package bench

import (
	"os/exec"
	"syscall"
)

// setParentDeath has the process end with this one, however this one ends.
func setParentDeath(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
