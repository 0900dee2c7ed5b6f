// Package wal owns the event log on one disk: offsets, group commit, the tables
// of agents and producers, the durable mark, followers and look-up.
//
// It knows a record's envelope (see package block) and no payload. What is
// acknowledged, told to views or kept how long is left to its callers.
// One goroutine owns the Writer; everything on Log may be called by any.
// Nothing is readable or acknowledged before its commit and its mark are synced.
//
// Files: keys.go and mark.go draw what is on disk; open.go recovers, writer.go
// and judge.go take records in, commit.go makes them durable, follower.go, read.go, find.go read.
package wal
