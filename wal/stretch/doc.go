// Package stretch owns the format of a sealed stretch of the log: the records
// of a run of consecutive blocks, sorted by tier, agent and offset, in
// compressed chunks, with an index and pages that lead from a key to chunks.
// Pure code: no goroutine, clock, file or lock. A Writer belongs to one
// goroutine; an Index and a Part never change once made, many may read them.
//
// Files: format.go draws the layouts, writer.go sorts and cuts, encode.go and
// part.go translate chunks, index.go and keys.go the rest; digest.go proves that
// what was sealed is what was hot, split.go and join.go divide payloads, zip.go
// compresses, table.go numbers values, filter.go tells what is not there.
package stretch
