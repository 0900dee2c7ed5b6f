// Package engine speaks WebSocket (RFC 6455) to agents and dashboards over
// netpoll's loops: request heads, upgrades, frames, agent sessions, replies.
// It knows no disk and judges no numbers: what agents send leaves it as Items
// in one ring per loop, what they are told comes back through Server.Reply.
// Plain HTTP connections are detached and handed on with the bytes already read.
//
// Everything about a connection is touched by its loop's thread alone. Methods
// of Server and Socket may be called from any goroutine unless they say otherwise.
package engine
