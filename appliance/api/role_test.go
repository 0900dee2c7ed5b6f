//go:build linux

package api

import (
	"net"
	"testing"

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
