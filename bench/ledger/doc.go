// Package ledger keeps what a server has acknowledged, outside the server: for
// each connection of the workload the hash of each event by number. The load
// client writes one (Writer), package oracle holds the log against it (Ledger).
// Each belongs to one goroutine.
package ledger
