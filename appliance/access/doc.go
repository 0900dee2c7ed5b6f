// Package access owns who may do what: the keys of agents and people, their
// roles and scopes, and the sessions of signed-in browsers.
//
// Keys live in the data folder's keys/ (0600): the two made on first start as
// they are, every later one as its SHA-256 alone. Look-ups are in memory, never
// block and may be made concurrently; changes are written to disk before they
// take effect. keys.go holds the store, token.go one key, role.go the roles,
// session.go the cookie, gate.go what the WebSocket upgrade asks.
package access
