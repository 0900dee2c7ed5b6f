// Package ring is the bounded byte queue between one loop and the log:
// one producer goroutine, one consumer goroutine, first in first out, no lock,
// no allocation, no waiting. Full is an answer.
//
// It owns the bytes and their order. It leaves to others what a record means,
// who waits for whom (nobody is woken here) and what is done at the bound.
// ring.go holds the type, producer.go and consumer.go one side each.
package ring
