//go:build linux

package api

import (
	"net"
	"testing"

	"eyrie/appliance/views/live"

	"github.com/valyala/fasthttp"
)

// from is a connection that comes from an address.
type from struct {
	net.Conn
	addr net.Addr
}

func (f from) RemoteAddr() net.Addr { return f.addr }

// From this machine every port answers everything; from elsewhere the ingest
// port takes events and says whether it is well.
func TestOutsideRole(t *testing.T) {
	near, afar := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.TCPAddr{IP: net.IPv4(203, 0, 113, 7)}
	for _, c := range []struct {
		addr         net.Addr
		listener     int
		method, path string
		refused      bool
	}{
		{near, ListenerIngest, "GET", "/v1/tokens", false},
		{afar, ListenerIngest, "GET", "/v1/tokens", true},
		{afar, ListenerIngest, "GET", "/debug/pprof/heap", true},
		{afar, ListenerIngest, "GET", "/", true},
		{afar, ListenerIngest, "GET", "/v1/events", true},
		{afar, ListenerIngest, "POST", "/v1/events", false},
		{afar, ListenerIngest, "GET", "/ready", false},
		{afar, ListenerWeb, "GET", "/v1/tokens", false},
	} {
		ctx := new(fasthttp.RequestCtx)
		ctx.Init2(&tracked{tagged: tagged{from{nil, c.addr}, c.listener}}, nil, false)
		ctx.Request.Header.SetMethod(c.method)
		q := &req{RequestCtx: ctx}
		if got := q.outsideRole(c.path) != nil; got != c.refused {
			t.Errorf("%v on listener %d: %s %s: refused %v, want %v", c.addr, c.listener, c.method, c.path, got, c.refused)
		}
	}
}

// What waits for one reader is bounded in number and bytes; one message of any size goes.
func TestOutbox(t *testing.T) {
	o := &outbox{ch: make(chan []byte, sseQueue)}
	large := make([]byte, sseBytes/2+1)
	if err := o.send(make([]byte, 3*sseBytes)); err != nil {
		t.Error(err)
	}
	if err := o.send(large); err != live.ErrBusy {
		t.Error("beyond its bytes: ", err)
	}
	o.took(<-o.ch)
	if err := o.send(large); err != nil {
		t.Error(err)
	}
	if err := o.send(large); err != live.ErrBusy {
		t.Error("beyond its bytes: ", err)
	}
	o.took(<-o.ch)
	for i := range sseQueue + 1 {
		if err := o.send([]byte("x")); (err != nil) != (i == sseQueue) {
			t.Errorf("message %d: %v", i, err)
		}
	}
	for range sseQueue {
		o.took(<-o.ch)
	}
	if n := o.held.Load(); n != 0 {
		t.Errorf("%d bytes are held by an empty one", n)
	}
}
