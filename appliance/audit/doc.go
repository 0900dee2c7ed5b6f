// Package audit owns what a record of an operator's or the system's own action
// looks like, and the chain of hashes that ties each to the one before it.
//
// It is pure code. Who appends the records, in the log's order, is left to
// package intake; what is an action worth a record, to those who do it. A Chain
// belongs to one goroutine.
package audit
