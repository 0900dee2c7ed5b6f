// Package fleet folds the log into who is there and how they are: agents by
// their dense number, declared and implied states, verdicts of ours, current
// run, task and ask, counts, usage and rates; and into what they were at any past moment.
//
// It owns the rules of states (state.go) and verdicts (verdict.go); it leaves
// rows of spans, series and fan-out to others. One goroutine calls Apply, Save, Load and
// Reset; queries may run concurrently and get copies. row.go has the JSON shapes, fold.go
// and open.go the fold, save.go and snapshot.go the formats, past.go past moments.
package fleet
