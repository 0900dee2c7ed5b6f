// Package host tells what a measurement ran on, what a process used, and how
// much others disturbed it: /proc read and compared. Everything is a plain
// value; any goroutine may call.
package host
