// Package bench measures and judges the whole appliance from outside: it starts
// a fresh server as its own process, drives it with package load, and reports
// figures with their units, the machine and the noise.
//
// ingest.go, connections.go, kill.go and storm.go are parts, each a function of
// its own; server.go starts the server, books.go holds its log against the
// clients' ledgers, report.go has the shape that every part reports in. The
// functions may not run concurrently: they share one machine.
package bench
