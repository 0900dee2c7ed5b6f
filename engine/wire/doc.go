// Package wire is the agent protocol: event kinds, messages, the codecs (MessagePack, JSON, Protobuf), limits and errors.
//
// It owns no goroutine, clock or connection. A Parser serves one goroutine and owns its scratch; what it hands out
// aliases the input or that scratch and lives until the next call that says so. A stored payload is one MessagePack map
// with the protocol's names, as sent. parser.go and message.go read what agents send, check.go judges one event and
// fast.go most of them sooner, scan.go and protoread.go turn JSON and Protobuf into MessagePack, view.go reads stored
// payloads without decoding them, append.go, protowrite.go and server.go are the other direction. eyrie.proto is the
// schema, protoschema.go its tables; prio.go, seed.go and protofirst.go hold what is stated in tables.
package wire
