// Package blobs counts who names the blobs that package wal/blob keeps: a fold
// with a row for each blob that each event of the log names, and the sweep that
// drops the blobs of which no row is left.
//
// The rows can be made again from the log at any time, as those of any view. An
// event is stored only where its blobs are there (judge.go), so a blob that is
// missing while an event names it is a damage. View is a fold, and its other
// methods are for any goroutine; keys.go draws the rows.
package blobs
