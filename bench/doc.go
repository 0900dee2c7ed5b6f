// Package bench measures and judges the whole appliance from outside: it starts
// a fresh server as its own process, or finds one that runs, drives it with
// package load, and reports figures with their units, the machine and the noise.
//
// ingest.go, connections.go, soak.go, kill.go, storm.go and others are parts, each a
// function of its own; server.go and target.go are the server, begin.go brings up what
// a part loads with, sample.go and steady.go watch and judge a load, books.go holds
// the log against the clients' ledgers. The functions may not run concurrently:
// they share one machine.
package bench
