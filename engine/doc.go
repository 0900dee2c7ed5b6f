// Package engine speaks WebSocket (RFC 6455) to agents and dashboards over
// netpoll's loops: request heads, upgrades, frames, agent sessions, replies.
// It knows no disk and judges no numbers: what agents send leaves it as Items
// in one ring per loop, what they are told comes back through Server.Reply.
// Plain HTTP connections are detached and handed on with the bytes already read.
//
// A connection belongs to its loop's thread; methods of Server and Socket are
// for any goroutine unless they say otherwise. loop.go holds a connection's
// life, messages.go frames, session.go an agent's ops, room.go the full ring,
// wake.go what others post. Linux only, as netpoll is.
package engine
