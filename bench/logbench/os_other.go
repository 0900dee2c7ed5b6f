//go:build !linux

package logbench

import (
	"errors"
	"os"
	"os/exec"
	"time"
)

func startAs(*exec.Cmd, int, int) {}

func dataSync(f *os.File) error { return f.Sync() }

func cpuTime() (time.Duration, error) { return 0, errors.ErrUnsupported }
