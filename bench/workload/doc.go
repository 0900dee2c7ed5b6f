// Package workload makes the one synthetic mix of events that every figure of
// eyrie uses: a fleet of managers and workers, the same for the same seed.
//
// Shape says how large it is, Stream makes the events of one connection in
// their order (script.go has the mix as a table), Framer writes them as masked
// WebSocket frames. It knows no socket and no clock: instants are passed in.
// A Stream and a Framer each belong to one goroutine.
package workload
