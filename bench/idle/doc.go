// Package idle holds very many idle agents' links between two processes: a
// server of exactly netpoll and engine, whose rings end in a goroutine that
// welcomes and acknowledges and stores nothing, and a client that is bare
// descriptors. Both give each of their threads a descriptor table of its own.
//
// server_linux.go and client_linux.go are the processes' lives: they read
// orders from standard input, one JSON line each, and answer likewise.
package idle
