package wire

// Codec is how messages are written on a link; the WebSocket subprotocol names it.
type Codec uint8

// The codecs. MsgPack is the default and travels in binary messages, JSON in text messages.
const (
	MsgPack Codec = iota
	JSON
)

// The subprotocols of Sec-WebSocket-Protocol.
const (
	SubprotocolMsgPack = "eyrie.v1.msgpack"
	SubprotocolJSON    = "eyrie.v1.json"
	// SubprotocolKeyPrefix precedes a key where a client cannot set headers; it selects no codec.
	SubprotocolKeyPrefix = "eyrie.key."
)

// Subprotocol returns the WebSocket subprotocol that selects c.
func (c Codec) Subprotocol() string {
	if c == JSON {
		return SubprotocolJSON
	}
	return SubprotocolMsgPack
}

// String returns msgpack or json.
func (c Codec) String() string {
	if c == JSON {
		return "json"
	}
	return "msgpack"
}

// ParseSubprotocol returns the codec that a subprotocol selects.
func ParseSubprotocol(name string) (Codec, bool) {
	switch name {
	case SubprotocolMsgPack:
		return MsgPack, true
	case SubprotocolJSON:
		return JSON, true
	}
	return MsgPack, false
}
