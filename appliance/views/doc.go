// Package views runs the folds of the log: it follows the log's blocks, parses
// each event once, applies all folds to a block at once and saves what each one
// changed together with its cursor in one atomic batch of the views store.
//
// It owns the store's options (store.go), cursors (cursor.go), the loop
// (runner.go), reading ahead (read.go), saving (save.go, table.go) and what happens to a
// record that makes a fold panic (poison.go). It knows no fold by name; packages below it are folds.
// A Runner's queries may be called from any goroutine, a fold's Load, Apply,
// Save and Reset come from one at a time.
package views
