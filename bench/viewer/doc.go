// Package viewer is the reading side of a measurement: child processes that
// hold many live viewers on /v1/live, and a probe whose events carry the
// microsecond at which they were due.
//
// job.go is what parent and child say to each other, one JSON line each way;
// fleet.go and probe.go are the parent's side, scan.go reads of a message no more
// than is counted, the _linux files are the child: one epoll loop on one thread, which speaks
// Centrifuge's protocol too, for comparison.
// A Fleet and a Probe belong to one goroutine each.
package viewer
