// Package block owns the format of one block of the log: up to 1,024 records
// with their envelope, stored as two values, a header that can be searched
// without its body and a body of compressed columns and payloads.
//
// It is pure code: no goroutine, clock, file or lock. A Builder, an Encoder
// belong to one goroutine; a Block and a Header never change once made and may
// be read by many. What a record means, where blocks are kept and when they are
// durable is left to package wal.
//
// Files: format.go draws the layout, record.go the envelope, builder.go fills,
// block.go reads, encode.go and decode.go translate, header.go searches, sets.go packs numbers.
package block
