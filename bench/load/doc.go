// Package load is the client side of a measurement: child processes that hold
// many links and drive them with the workload, closed-loop with a window or
// open-loop at a rate.
//
// job.go is what parent and child say to each other, one JSON line each;
// fleet.go is the parent's side, the _linux files the child's: one epoll loop
// on one thread, so that it costs little beside the server. A Fleet belongs to
// one goroutine.
package load
