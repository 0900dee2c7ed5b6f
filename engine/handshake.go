//go:build linux

package engine

import (
	"bytes"
	"errors"
	"net/http"

	"eyrie/netpoll"
	"eyrie/netpoll/tables"
)

// readHead reads a request and upgrades, hands on or refuses it. It returns the
// bytes of the request if the link now speaks WebSocket; the rest of b is
// frames then.
func (l *loop) readHead(lk *link, b []byte) (n int) {
	n, st, status, why := parseHead(b, &l.hd)
	if st == parsedMore {
		return 0
	}
	if st == parsedRefused {
		l.refuse(lk, &Refusal{status, "request", why})
		return len(b)
	}
	if l.hd.isUpgrade() {
		if string(l.hd.path) == AgentPath {
			l.upgradeAgent(lk)
			return n
		}
		if s := l.srv.cfg.Sockets[string(l.hd.path)]; s != nil {
			l.upgradeSocket(lk, s)
			return n
		}
	}
	l.detach(lk, b)
	return len(b)
}

func (l *loop) upgradeAgent(lk *link) {
	r, ref := l.checked(lk)
	if ref != nil {
		l.refuse(lk, ref)
		return
	}
	codec, echo, ref := agentProtocol(r.Protocols)
	if ref == nil {
		_, ref = l.admit(lk, r)
	}
	if ref != nil {
		l.refuse(lk, ref)
		return
	}
	lk.codec = codec
	lk.state = linkHello
	l.switched(lk, echo, l.srv.cfg.AgentDeflate)
	l.io.SetTimer(lk.h, l.srv.cfg.HandshakeTimeout)
}

func (l *loop) upgradeSocket(lk *link, handler SocketHandler) {
	r, ref := l.checked(lk)
	if ref != nil {
		l.refuse(lk, ref)
		return
	}
	echo, ref := socketProtocol(handler, r.Protocols)
	var g Grant
	if ref == nil {
		g, ref = l.admit(lk, r)
	}
	if ref != nil {
		l.refuse(lk, ref)
		return
	}
	lk.state = linkSocket
	l.m.sockets.Inc()
	s := &socket{l: l, h: lk.h, handler: handler}
	d, deflate := handler.(SocketDeflate)
	if deflate {
		s.from = d.DeflateFrom()
	}
	if _, ok := handler.(SocketToRing); ok {
		lk.agreed |= agreedRing
	}
	s.bits = l.switched(lk, echo, deflate)
	l.io.SetTimer(lk.h, l.srv.cfg.Ping)
	l.socks[lk.h] = s
	handler.Open(Socket{s}, g, r)
}

// checked holds the upgrade in l.hd against RFC 6455 and copies it.
func (l *loop) checked(lk *link) (*Request, *Refusal) {
	if ref := checkUpgrade(&l.hd); ref != nil {
		return nil, ref
	}
	return l.hd.request(int(lk.tag), l.remote(lk)), nil
}

func (l *loop) admit(lk *link, r *Request) (Grant, *Refusal) {
	if l.draining {
		return Grant{}, &Refusal{http.StatusServiceUnavailable, "draining", "the server shuts down"}
	}
	g, ref := l.srv.cfg.Gate.Admit(r)
	if ref != nil {
		return g, ref
	}
	lk.grant = l.grants.hold(g)
	if left := l.srv.blocks.Left(l.who(lk), l.io.Now()); left > 0 {
		l.grants.drop(lk.grant)
		l.retryAfter = left
		return g, &Refusal{http.StatusTooManyRequests, "blocked", "this key has abused its link from this address"}
	}
	return g, nil
}

// refuse answers a request with a problem and closes.
func (l *loop) refuse(lk *link, r *Refusal) {
	l.m.turnedAway(r.Status)
	l.out = appendProblem(l.out, r, l.retryAfter)
	l.retryAfter = 0
	lk.state = linkGone
	if l.flush(lk) {
		l.io.CloseAfterFlush(lk.h)
	}
}

// detach gives the connection with everything read so far to Config.HTTP.
func (l *loop) detach(lk *link, b []byte) {
	srv := l.srv
	if srv.cfg.HTTP == nil {
		l.refuse(lk, &Refusal{http.StatusNotFound, "not_found", "nothing is served here but WebSockets"})
		return
	}
	room, evicted := false, false
	if !l.draining {
		room, evicted = srv.httpRoom()
	}
	if evicted {
		l.m.evicted.Inc()
	}
	if !room {
		l.refuse(lk, &Refusal{http.StatusServiceUnavailable, "busy", "too many requests at once"})
		return
	}
	tag, seen := int(lk.tag), bytes.Clone(b)
	err := l.io.Detach(lk.h, func(fd int, err error) { srv.serveHTTP(fd, err, tag, seen) })
	if err != nil {
		srv.detached.Add(-1)
		switch {
		case errors.Is(err, tables.ErrBusy):
			l.refuse(lk, &Refusal{http.StatusServiceUnavailable, "busy", "too many requests at once"})
		case errors.Is(err, netpoll.ErrTransformed):
			l.refuse(lk, &Refusal{http.StatusMisdirectedRequest, "transformed", "nothing is served behind this listener's TLS but WebSockets"})
		default:
			l.abort(lk, err.Error())
		}
		return
	}
	l.forget(lk)
	l.m.detached.Inc()
}

// serveHTTP runs on a goroutine of its own: making a net.Conn takes system
// calls that a loop should not wait for, and only works in the process' own
// descriptor table. lost says that the connection did not get there.
func (s *Server) serveHTTP(fd int, lost error, tag int, seen []byte) {
	if lost != nil {
		s.detached.Add(-1)
		return
	}
	c, err := s.adopt(fd, seen)
	if err != nil {
		s.detached.Add(-1)
		return
	}
	s.cfg.HTTP(c, tag)
}
