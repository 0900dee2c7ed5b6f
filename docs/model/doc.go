// Package model is the protocol of docs/protocol.md, sections on numbers,
// fencing, expiry and restore, as a state machine small enough to be explored
// exhaustively: two lives of a producer, their links, a server with a log that
// commits, crashes, is restored and forgets.
//
// It shares no code with what it models. Its tests visit every state within
// small bounds, and take each rule away to see that the properties notice.
// state.go holds the state, client.go and server.go who changes it, check.go
// the properties, explore.go the search, deed.go steps for driving real code.
package model
