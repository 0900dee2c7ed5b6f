//go:build unix

package watch

import (
	"io"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/term"
)

// passed are the signals that the program gets too.
var passed = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGCONT}

// pass passes a signal on. What a terminal sends goes to the whole foreground group: the program, which is part of it,
// has it already.
func pass(p *os.Process, s os.Signal, stdin io.Reader) {
	if f, ok := stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		switch s {
		case syscall.SIGINT, syscall.SIGQUIT, syscall.SIGWINCH, syscall.SIGHUP:
			return
		}
	}
	_ = p.Signal(s) // it may have ended meanwhile
}

func terminate(p *os.Process) os.Signal {
	_ = p.Signal(syscall.SIGTERM) // it may have ended meanwhile
	return syscall.SIGTERM
}

func isInterrupt(s os.Signal) bool { return s == syscall.SIGINT || s == syscall.SIGQUIT }

func signalled(p *os.ProcessState) (int, bool) {
	w, ok := p.Sys().(syscall.WaitStatus)
	if !ok || !w.Signaled() {
		return 0, false
	}
	return int(w.Signal()), true
}

// maxRSS is the largest resident set of the program or one of its children, in bytes.
func maxRSS(p *os.ProcessState) int64 {
	r, ok := p.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		return int64(r.Maxrss)
	}
	return int64(r.Maxrss) << 10
}
