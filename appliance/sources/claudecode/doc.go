// Package claudecode turns Claude Code's transcripts into events and follows them while they are written.
//
// Fold is pure: lines in, events out, no files, no clock; the same lines give the same events. Follower walks
// a folder, feeds the Fold and sends what it says to a sources.Sink. Files: line.go and record.go read a
// line, fold.go says which agent it belongs to, session.go, actor.go, call.go, tool.go, task.go, run.go hold
// what is known of each, outcome.go tells refusals, cancellations and failures apart, text.go decides what
// text leaves, follow.go follows. Agents come from the records' ids, never from a path.
package claudecode
