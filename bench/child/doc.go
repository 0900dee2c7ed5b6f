// Package child is how a measurement has processes of its own: a parent starts one
// with its standard input and output as pipes, tells it JSON values, a line each, and
// hears such lines. The child ends with its input.
//
// process.go and parent_linux.go are the parent's side, limits_linux.go what a child
// does to itself first. A Process belongs to one goroutine.
package child
