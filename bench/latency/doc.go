// Package latency owns a histogram of durations that many processes fill and
// one merges: exact counts in buckets at most 1.6 % wide. A Histogram belongs to
// one goroutine.
package latency
