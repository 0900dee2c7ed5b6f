package netpoll

import "net/netip"

// Handler gives bytes their meaning. There is one per loop, and every call
// comes on that loop's thread, never from inside a call of the handler to the
// Loop. Calls must not block.
type Handler interface {
	// Open announces an accepted connection and the tag of its listener.
	Open(h Handle, listener int, remote netip.AddrPort)
	// Read shows all bytes that are not consumed yet, oldest first, and
	// returns how many of them it consumes. b may be changed and is valid
	// until Read returns; what is not consumed is kept as it was left and
	// shown again with more behind it, or alone after Resume.
	Read(h Handle, b []byte) int
	// Drained tells that everything queued has gone out after a Write that
	// the kernel did not take at once.
	Drained(h Handle)
	// Timeout tells that the connection's timer fired. It is off now.
	Timeout(h Handle)
	// Close is the last call for h. err is nil after CloseAfterFlush, io.EOF
	// when the peer closed, otherwise what went wrong. Not called for
	// connections that were detached.
	Close(h Handle, err error)
	// Wake follows Loop.Wake. Many wakes may come as one; none is lost.
	Wake()
}

// NewHandler makes the handler of one loop, before that loop runs.
type NewHandler func(l *Loop) Handler

// Transform is a stage between the bytes of a socket and the handler, such as
// TLS. There is one per loop, called on its thread; it keeps what it needs per
// connection by Handle.Slot.
type Transform interface {
	// Open tells whether connections of this listener pass the stage. It
	// comes before Handler.Open.
	Open(h Handle, listener int) bool
	// In takes all of raw (valid until it returns), appends what it yields
	// for the handler to dst, and may answer with bytes for the peer, valid
	// until the next call. An error ends the connection.
	In(h Handle, dst, raw []byte) (plain, reply []byte, err error)
	// Out appends to dst what has to be sent for plain.
	Out(h Handle, dst, plain []byte) ([]byte, error)
	// Final appends the last bytes to be sent before an orderly close.
	Final(h Handle, dst []byte) []byte
	// Close is the last call for h.
	Close(h Handle)
}
