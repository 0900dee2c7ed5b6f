// Package netpoll runs TCP connections on a few epoll loops: accept, read,
// write queues, one timer per connection, wake-ups, orderly close. It knows no
// WebSocket and no HTTP; a Handler per loop decides what bytes mean.
//
// Everything about a connection belongs to its loop's thread. Other threads
// use only Loop.Wake and the methods of Poll. A connection costs 28 bytes of
// pointer-free slab; bytes it cannot pass on yet lie in size-classed cells.
// Linux only: elsewhere New returns ErrUnsupported.
//
// slab.go, stash.go and cells.go hold memory, loop.go the cycle, read.go, write.go,
// accept.go, end.go what happens to a connection, wheel.go the timers.
package netpoll
