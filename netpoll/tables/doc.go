// Package tables gives threads a descriptor table of their own, so that one
// process holds more descriptors than its limit: the limit counts per table.
//
// On such a thread only raw descriptors may be used: a number means another
// thing there than elsewhere, and nothing of os or net may be opened or closed.
// Descriptors leave it through Thread.Pass. Open comes before files, databases
// and listeners are open, and tests the arrangement before it is relied on.
// Linux only: elsewhere Open returns ErrUnsupported.
//
// set.go opens and closes, thread.go is a thread's life, pass.go hands
// descriptors over, check.go is the test at start.
package tables
