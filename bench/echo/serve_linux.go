package echo

import (
	"context"
	"net/http"
	"net/netip"
	"runtime"
	"time"

	"eyrie/engine"
	"eyrie/netpoll"

	"github.com/gobwas/ws"
)

// Serve serves until ctx is done. up is told the address once it listens.
func Serve(ctx context.Context, cfg Config, up func(netip.AddrPort)) error {
	addr, err := loopback(cfg.Listen)
	if err != nil {
		return err
	}
	loops := cfg.Loops
	if loops == 0 {
		loops = min(runtime.GOMAXPROCS(0), LoopsMax)
	}
	// A loop that works holds its P all the time, and one that waits in epoll is
	// robbed of it when there is no other: the sink and the runtime need one.
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), loops+1))
	s := newSink()
	echoes := engine.SocketHandler(echo{})
	if cfg.Deflate {
		echoes = packed{}
	}
	srv, err := engine.New(engine.Config{
		Poll:          netpoll.Config{Loops: loops},
		Gate:          engine.GateFunc(admit),
		Sockets:       engine.Sockets{echoPath: echoes, sinkPath: toRing{}},
		Notify:        s.notify,
		SocketMessage: messageMax,
		SocketBacklog: messageMax + backlogMore,
		JoinBytes:     joinBytes,
	})
	if err != nil {
		return err
	}
	at, err := srv.Listen(addr, 0)
	if err != nil {
		return err
	}
	s.rings = srv.Rings()
	srv.Start()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.drop(srv)
	}()
	up(at)
	<-ctx.Done()
	end, cancel := context.WithTimeout(context.Background(), endMax)
	defer cancel()
	err = srv.Shutdown(end)
	s.stop()
	<-done
	return err
}

var _ [netpoll.LoopsMax - LoopsMax]struct{} // config.go builds everywhere

const (
	echoPath = "/echo"
	sinkPath = "/sink"

	messageMax  = 64 << 20
	backlogMore = 1 << 20 // what may be unsent when the largest message is answered
	joinBytes   = 512 << 20
	endMax      = 3 * time.Second
)

// admit lets everyone in where messages are echoed or dropped.
func admit(r *engine.Request) (engine.Grant, *engine.Refusal) {
	if r.Path != echoPath && r.Path != sinkPath {
		return engine.Grant{}, &engine.Refusal{Status: http.StatusNotFound, Code: "not_found", Msg: "here are " + echoPath + " and " + sinkPath}
	}
	return engine.Grant{Space: "bench"}, nil
}

// echo answers within the turn that read the message.
type echo struct{}

func (echo) Open(engine.Socket, engine.Grant, *engine.Request) {}
func (echo) Message(s engine.Socket, op ws.OpCode, p []byte)   { s.Answer(op, p) }
func (echo) Close(engine.Socket)                               {}

// packed is echo with compression, of every message that it makes smaller.
type packed struct{ echo }

func (packed) DeflateFrom() int { return 1 }

// toRing wants messages in the ring.
type toRing struct{}

func (toRing) Open(engine.Socket, engine.Grant, *engine.Request) {}
func (toRing) Message(engine.Socket, ws.OpCode, []byte)          {}
func (toRing) Close(engine.Socket)                               {}
func (toRing) ToRing()                                           {}
