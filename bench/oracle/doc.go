// Package oracle judges a data folder that no server holds: that the log has
// everything a ledger says was acknowledged, once and in order (log.go), and
// that every view as stored and caught up equals a fold over the log from zero
// (views.go). The functions only read the log; views are caught up in place.
package oracle
