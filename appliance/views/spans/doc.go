// Package spans folds start, update, end and whole events into one row per
// (space, span), and adds up runs.
//
// It owns the rows, their indexes and counters below prefix 's' of the views
// store (keys.go) and answers pages from memory and store together; payloads
// stay in the log, rows keep their offsets. One goroutine calls Apply, Save,
// Load and Reset; queries may run concurrently and get copies. row.go has the
// JSON shapes, fold.go the rules, store.go what is written, list.go the pages.
package spans
