// Package intake carries what comes in from the loops' rings, from HTTP and
// from eyrie itself into the log, and tells the senders what became of it once
// it is durable.
//
// One goroutine (Intake.Run) owns the log's Writer and every producer's link:
// so numbers, fences and duplicates are judged in one place. It leaves frames
// and codecs to engine, numbers and durability to wal. A frame is never split
// over two commits, so its position is committed with its last event.
// intake.go holds the loop, link.go a producer's link, frame.go what a link
// sends, submit.go what comes without a link, group.go what a commit answers.
package intake
