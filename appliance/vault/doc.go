// Package vault backs up, restores and verifies a data folder as a whole: the
// log, the keys beside it, the views folded from it, and the audit chain in it.
//
// What a backup is and how a log is cut and checked is package wal's; what a
// command line or an API shows of it is left to those. Every function may be
// called from any goroutine, for one data folder by one at a time.
package vault
