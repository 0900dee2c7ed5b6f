package wire

// The protocol's limits. What exceeds one is refused with code "size" or "depth" and the field's name.
const (
	// MaxEvent is the largest event in bytes, as MessagePack.
	MaxEvent = 256 << 10
	// MaxFrame is the largest message in bytes.
	MaxFrame = 1 << 20
	// MaxDepth is how deep maps and arrays may nest; the event's own map counts as one.
	MaxDepth = 16
	// MaxMetrics is the most entries of metrics, counters and deltas together in one event.
	MaxMetrics = 64
	// MaxLabels is the most labels of one event.
	MaxLabels = 64
	// MaxFrameEvents is the most events in one message.
	MaxFrameEvents = 4096
	// MaxID is the longest id (agent, session, run, task, span, parent, to) in bytes of UTF-8.
	MaxID = 128
	// MaxName is the longest metric or label name in bytes.
	MaxName = 256
	// MaxPos is the longest position that a follower may commit with its events, in bytes.
	MaxPos = 64 << 10
	// MaxBlobs is how often one event may name blobs.
	MaxBlobs = 64
	// MaxBlob is the largest content of a blob in bytes.
	MaxBlob = 16 << 20
	// MaxSeq is the highest event number: JavaScript must be able to count that far.
	MaxSeq = 1<<53 - 1
)

// Instants lie between 1970 and 2100; zero means none given.
const (
	maxUnixMs = 4102444800000
	maxUnixNs = maxUnixMs * 1e6
)
