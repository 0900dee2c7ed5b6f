// Package hostile is a process full of bad peers: readers that do not read,
// writers of one byte a second, peers that vanish, peers that want every
// descriptor. A measurement runs it beside well-behaved load to see that the
// latter does not suffer.
//
// job.go is what the parent says; peers.go the parent's side; the *_linux files
// are what each kind does. Serve belongs to a process of its own; a Peers to one
// goroutine.
package hostile
