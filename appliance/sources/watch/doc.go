// Package watch runs any program and reports it as an agent: a run with its exit code, its output as log events,
// the CPU, memory and input/output of its process tree, a promised heartbeat. The program sees the same arguments,
// environment, input and signals as without it, its output passes byte by byte, and its exit code is passed on;
// a server that is slow or away never holds it up. Its output is a pipe, not a terminal. Files: run.go runs,
// lines.go turns output into log events, sender.go sends, tree_*.go measures, signal_*.go knows the OS.
package watch
