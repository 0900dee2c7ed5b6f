// Package client sends events to eyrie and keeps each one until the server has settled it.
//
// A Client numbers events, batches them into frames, bounds what is unacknowledged, and after a cut resends from the
// first number that the server's welcome names. It owns two goroutines and one socket; all methods may be called by
// any goroutine; hooks run on the link's reader and must not block. options.go says what can be set, queue.go holds
// what is not settled, link.go is one socket's life, dial.go the upgrade. It leaves the protocol to wire and decides
// nothing about what events mean.
package client
