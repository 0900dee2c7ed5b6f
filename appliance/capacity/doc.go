// Package capacity is the model of what a host bears: measured costs of eyrie, a
// load, a host, and the plan that follows from the three. It does no I/O, never
// changes its arguments, and may be called from any goroutine.
//
// costs.go has the measured constants, reference.go those that are built in,
// load.go and host.go what they are applied to, buffers.go what a server chooses
// by its memory, need.go, resources.go and plan.go the arithmetic, watch.go, meter.go
// and observed.go what a running server learns of its load and its own costs.
package capacity
