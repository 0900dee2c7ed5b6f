package wire

import _ "embed" // eyrie.proto

// Codec is how messages are written on a link; the WebSocket subprotocol names it.
type Codec uint8

// The codecs. MsgPack is the default; it and Proto travel in binary messages, JSON in text messages.
const (
	MsgPack Codec = iota
	JSON
	Proto // the messages of eyrie.proto
	codecCount
)

// The subprotocols of Sec-WebSocket-Protocol.
const (
	SubprotocolMsgPack = "eyrie.v1.msgpack"
	SubprotocolJSON    = "eyrie.v1.json"
	SubprotocolProto   = "eyrie.v1.proto"
	// SubprotocolKeyPrefix precedes a key where a client cannot set headers; it selects no codec.
	SubprotocolKeyPrefix = "eyrie.key."
)

// ContentTypeProto is Protobuf's media type in HTTP.
const ContentTypeProto = "application/x-protobuf"

// Schema is eyrie.proto: the messages of all codecs, as Protobuf.
//
//go:embed eyrie.proto
var Schema string

var (
	codecNames   = [codecCount]string{"msgpack", "json", "proto"}
	subprotocols = [codecCount]string{SubprotocolMsgPack, SubprotocolJSON, SubprotocolProto}
)

// Subprotocol returns the WebSocket subprotocol that selects c.
func (c Codec) Subprotocol() string { return nameOf(subprotocols[:], uint8(c)) }

// String returns msgpack, json or proto.
func (c Codec) String() string { return nameOf(codecNames[:], uint8(c)) }

// ParseCodec returns the codec of that name.
func ParseCodec(name string) (Codec, bool) {
	i, ok := indexOf(codecNames[:], name)
	return Codec(i), ok
}

// ParseSubprotocol returns the codec that a subprotocol selects.
func ParseSubprotocol(name string) (Codec, bool) {
	i, ok := indexOf(subprotocols[:], name)
	return Codec(i), ok
}
