// Package chunk turns columns of timestamps and values into bytes and back:
// pure code, no goroutine, no clock, no store; everything is safe for
// concurrent use except a Stream, which belongs to one caller at a time.
//
// A chunk (chunk.go) is closed and dense: each column gets the smallest of
// several encodings (ints.go, decimal.go, xor.go). A Stream (stream.go) is
// open: samples are appended one by one and cost a few bytes each. Both are
// lossless for every float64 bit pattern and every int64 timestamp.
package chunk
