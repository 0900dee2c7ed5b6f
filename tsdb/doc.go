// Package tsdb keeps labelled series of float64 samples: a head in memory
// (shard.go, arena.go), an index of labels (index.go, symbols.go, match.go)
// and compressed chunks in a Pebble store that it shares with others, below
// one key prefix (keys.go). It owns no goroutine, no write-ahead log and no
// commit: Save (save.go) writes what changed into a batch of the caller, who
// adds the cursor from which samples are appended again after a crash.
//
// Append, Series and all queries (select.go) may run concurrently.
// Load, Reset and Save need the appending side to hold still.
package tsdb
