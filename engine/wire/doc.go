// Package wire is the agent protocol: event kinds, messages, the MessagePack and JSON codecs, limits and errors.
//
// It owns no goroutine, clock or connection. A Parser serves one goroutine and owns its scratch; what it hands
// out aliases the input or that scratch and lives until the next call that says so. A stored payload is one
// MessagePack map with the protocol's field names, as sent. parser.go and message.go read what agents send,
// check.go judges one event and fast.go most of them sooner, scan.go turns JSON into MessagePack, view.go reads stored payloads without
// decoding them, event.go is the convenient form for clients and tests, append.go and server.go are the other
// direction, jsonvalue.go prints payloads as inert JSON, prio.go and seed.go hold the two stated tables.
package wire
