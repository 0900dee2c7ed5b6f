// Package live fans the log out to viewers: agents' rows as they change
// (conflated), events as they come or from an offset on (all of them, or the
// newest per agent), and the fleet's figures.
//
// It owns subscriptions, credits and pacing (hub.go, viewer.go, rows.go,
// events.go, gist.go), the messages (message.go) and the JSON of one event (event.go);
// transport, keys and the rows themselves are others'. A viewer costs no
// goroutine: a few readers (run.go) serve whoever has something to read.
// All exported methods are safe for concurrent use.
package live
