// Package load is the client side of a measurement: child processes that hold
// many links and drive them with a workload, closed-loop with a window or
// open-loop at a rate, on this host or on others.
//
// job.go is what parent and child say to each other, one JSON line each; fleet.go
// is the parent's side, remote.go the same towards other hosts, listen.go such a
// host's side, proof.go how both know each other. The _linux files are the child:
// one epoll loop on one thread, so that it costs little beside the server. A Fleet
// belongs to one goroutine.
package load
