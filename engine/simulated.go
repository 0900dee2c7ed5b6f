//go:build linux

package engine

import (
	"errors"

	"eyrie/engine/admit"
	"eyrie/engine/ring"
	"eyrie/netpoll"
)

// Simulated is New without netpoll: a server whose loops run on transports of
// the caller's, one each, in the order of their numbers. The caller calls the
// handlers as netpoll does, and everything else of the Server that a test needs,
// from one goroutine; Listen, Start, Links, Quiesce and Shutdown are not for it.
// cfg.RingBytes may be as small as a frame.
func Simulated(cfg Config, ios ...Transport) (*Server, []netpoll.Handler, error) {
	if cfg.Gate == nil {
		return nil, nil, errors.New("engine: Config.Gate is required")
	}
	small := cfg.RingBytes
	s := newServer(cfg)
	var hs []netpoll.Handler
	for _, io := range ios {
		l := s.addLoop(io)
		if small > 0 && small < ringBytesMin {
			l.ring = ring.New(small, small/8)
			l.gauge = admit.NewGauge(small - small/4)
		}
		hs = append(hs, l)
	}
	return s, hs, nil
}
