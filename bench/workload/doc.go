// Package workload makes the events that loads are made of, the same for the same
// seed, and reads the small files that name such loads.
//
// Shape says how large a load is and of what, Maker gives each connection a
// Source of its events: script.go has the mix of a fleet, which every published
// figure uses, telemetry.go metrics alone, recorded.go recorded runs overlaid.
// Framer writes them as masked WebSocket frames; file.go reads workload files,
// shipped.go has those that come with eyrie. It knows no socket and no clock. A
// Source and a Framer each belong to one goroutine.
package workload
