//go:build linux

package engine

import (
	"sync/atomic"

	"eyrie/netpoll"

	"github.com/gobwas/ws"
)

// Sockets maps a path to the handler of its WebSockets.
type Sockets map[string]SocketHandler

// SocketHandler serves the generic sockets of one path. Every method is called
// on the socket's loop and must not block; two loops may call at once.
type SocketHandler interface {
	// Open announces an admitted socket. r may be kept.
	Open(s Socket, g Grant, r *Request)
	// Message hands over a whole text (valid UTF-8) or binary message. p is
	// valid until Message returns.
	Message(s Socket, op ws.OpCode, p []byte)
	// Close is the last call for s.
	Close(s Socket)
}

// SocketProtocols may be added by a SocketHandler to say which subprotocols it
// speaks, best first; without it the first one offered is taken.
type SocketProtocols interface{ Protocols() []string }

// SocketDrained may be added by a SocketHandler to be told, on the loop, that
// everything sent was taken by the kernel after it had been behind.
type SocketDrained interface{ Drained(s Socket) }

// SocketDeflate may be added by a SocketHandler to agree to permessage-deflate
// (RFC 7692) where it is offered. Messages of DeflateFrom bytes or more are then
// sent compressed if that makes them smaller.
type SocketDeflate interface{ DeflateFrom() int }

// SocketToRing may be added by a SocketHandler to have every message copied into
// the loop's ring as an ItemMessage, in place of Message. A socket is not read
// while the ring has no room; a message that no ring could hold closes it with
// 1009. What one turn publishes becomes visible at its end.
type SocketToRing interface{ ToRing() }

// Socket is one generic WebSocket. It is comparable; the zero Socket is none.
// Its methods may be called from any goroutine, also after the socket closed.
type Socket struct{ s *socket }

// socket is the part of a generic socket that others touch.
type socket struct {
	l       *loop
	h       netpoll.Handle
	handler SocketHandler
	posted  atomic.Int64 // bytes handed over, not yet written by the loop
	queued  atomic.Int64 // bytes that the kernel had not taken when the loop last looked
	closed  atomic.Bool
	from    int   // bytes from which messages are compressed
	bits    uint8 // window of the compression agreed on, 0: none
}

// packs says whether a message of n bytes is to be compressed.
func (s *socket) packs(n int) bool { return s.bits > 0 && n >= s.from && n <= deflateMost }

// post counts n bytes more as handed over, or less, and returns how far the
// peer is behind then.
func (s *socket) post(n int64) (behind int64) {
	s.l.srv.behind.Add(n)
	return s.posted.Add(n) + s.queued.Load()
}

// waits notes how many bytes the kernel has not taken. Loop thread only.
func (s *socket) waits(n int64) { s.l.srv.behind.Add(n - s.queued.Swap(n)) }

// backlogLeast is what a socket may be behind however far all are.
const backlogLeast = 64 << 10

// backlog is how far the peer may be behind now: the more memory all that do not
// read hold together, the less each may (dynamic thresholds, Choudhury and Hahne
// 1998), so that a thousand stalled readers cost what a few do.
func (s *Server) backlog() int64 {
	left := (int64(s.cfg.BacklogAll) - s.behind.Load()) / 4
	return min(int64(s.cfg.SocketBacklog), max(left, backlogLeast))
}

// full tells whether a peer that is behind by so much, with n bytes that are to be sent, is too
// far behind for them.
func (s *Server) full(behind, n int64) bool {
	return behind > int64(s.cfg.SocketBacklog) || behind > n && behind > s.backlog()
}

// Full tells whether Send of a message of n bytes would return ErrBacklog now.
func (s Socket) Full(n int) bool {
	b := int64(n + ws.MaxHeaderSize)
	return s.s.l.srv.full(s.s.posted.Load()+s.s.queued.Load()+b, b)
}

// Send queues one message, copying it. ErrBacklog says that the peer is too far
// behind: by Config.SocketBacklog bytes, or less while many are. The message is
// not sent, the socket lives on. A peer that is not behind is sent any message
// that Config.SocketBacklog has room for.
func (s Socket) Send(op ws.OpCode, payload []byte) error {
	if s.s.closed.Load() {
		return ErrClosed
	}
	n := int64(len(payload) + ws.MaxHeaderSize)
	if s.s.l.srv.full(s.s.post(n), n) {
		s.s.post(-n)
		return ErrBacklog
	}
	var frame []byte
	if s.s.packs(len(payload)) {
		if frame = s.s.l.srv.deflaters.frame(op, payload, s.s.bits); frame != nil {
			s.s.l.m.deflated(len(payload), len(frame))
			s.s.post(int64(len(frame)) - n)
			n = int64(len(frame))
		}
	}
	if frame == nil {
		frame = appendFrame(make([]byte, 0, len(payload)+ws.MaxHeaderSize), op, payload)
	}
	s.s.l.box.send(send{s: s.s, frame: frame, cost: n})
	s.s.l.io.Wake()
	return nil
}

// Answer is Send without the copy and the detour, for use by the handler within
// Message of the same socket only: all answers of one turn go out in one write.
// It has no backlog; who does not read its answers is not read on.
func (s Socket) Answer(op ws.OpCode, payload []byte) {
	if s.s.closed.Load() {
		return
	}
	l := s.s.l
	if s.s.packs(len(payload)) {
		if z := l.deflater.deflate(payload, s.s.bits); z != nil {
			l.m.deflated(len(payload), len(z))
			at := len(l.out)
			l.out = appendFrame(l.out, op, z)
			l.out[at] |= rsv1
			return
		}
	}
	if len(payload) <= outKept {
		l.out = appendFrame(l.out, op, payload)
		return
	}
	// What is large is not copied into the scratch.
	l.out = appendHeader(l.out, op, len(payload))
	if lk := l.links.at(s.s.h); lk != nil && l.flush(lk) {
		l.send(lk, payload)
	}
}

// Buffered is the number of bytes sent and not yet taken by the kernel, as of
// the loop's last turn.
func (s Socket) Buffered() int { return int(s.s.posted.Load() + s.s.queued.Load()) }

// Close says goodbye behind what was sent before. Later Sends fail.
func (s Socket) Close(code ws.StatusCode, reason string) {
	if s.s.closed.Swap(true) {
		return
	}
	s.s.l.box.send(send{s: s.s, code: code, frame: []byte(reason)})
	s.s.l.io.Wake()
}

// Handle names the connection in logs and for Server.Cut.
func (s Socket) Handle() netpoll.Handle { return s.s.h }
