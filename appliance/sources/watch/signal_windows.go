package watch

import (
	"io"
	"os"
)

// passed: a console sends Ctrl-C to the program by itself; it only must not end the watcher first.
var passed = []os.Signal{os.Interrupt}

func pass(*os.Process, os.Signal, io.Reader) {}

func terminate(p *os.Process) os.Signal {
	_ = p.Kill() // it may have ended meanwhile
	return os.Kill
}

func isInterrupt(s os.Signal) bool { return s == os.Interrupt }

func signalled(*os.ProcessState) (int, bool) { return 0, false }

func maxRSS(*os.ProcessState) int64 { return 0 }
