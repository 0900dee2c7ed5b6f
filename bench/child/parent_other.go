//go:build !linux

package child

import "os/exec"

// Launch starts cmd. That it ends with this process needs Linux: elsewhere a child
// ends with its input.
func Launch(cmd *exec.Cmd) error { return cmd.Start() }
