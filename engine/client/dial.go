package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

// target makes the WebSocket URL of what a person wrote.
func target(s string) (*url.URL, error) {
	if s == "" {
		return nil, errors.New("client: no server URL")
	}
	if !strings.Contains(s, "://") {
		s = "ws://" + s
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("client: server URL: %w", err)
	}
	switch u.Scheme {
	case "http":
		u.Scheme = "ws"
	case "https":
		u.Scheme = "wss"
	case "ws", "wss":
	default:
		return nil, fmt.Errorf("client: server URL %q: wants http, https, ws or wss", s)
	}
	if u.Host == "" {
		return nil, fmt.Errorf("client: server URL %q has no host", s)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/agent"
	}
	u.User, u.Fragment = nil, ""
	return u, nil
}

// upgrade opens a socket and does the handshake.
func (c *Client) upgrade(ctx context.Context, u *url.URL) (net.Conn, *bufio.Reader, error) {
	want := c.opt.Codec.Subprotocol()
	header := http.Header{}
	if c.opt.Key != "" {
		header.Set("Authorization", "Bearer "+c.opt.Key)
	}
	var refused *RefusedError
	d := ws.Dialer{
		Timeout: c.opt.Timeout, Protocols: []string{want}, Header: ws.HandshakeHeaderHTTP(header),
		NetDial: c.opt.NetDial, TLSConfig: c.opt.TLS,
		OnStatusError: func(status int, reason []byte, resp io.Reader) {
			refused = &RefusedError{Status: status, Msg: string(reason)}
			refused.read(resp, c.opt.Now())
		},
	}
	conn, br, hs, err := d.Dial(ctx, u.String())
	if err == nil && hs.Protocol != want {
		err = &RefusedError{Status: 1002, Msg: "the server does not speak " + want}
	}
	if refused != nil {
		err = refused
	}
	if err != nil {
		if conn != nil {
			conn.Close()
		}
		return nil, nil, err
	}
	if br == nil {
		br = bufio.NewReaderSize(conn, 16<<10)
	}
	return conn, br, nil
}

// read takes Retry-After and the detail of an RFC 9457 body from an answer; what it lacks stays.
func (e *RefusedError) read(resp io.Reader, now time.Time) {
	r, err := http.ReadResponse(bufio.NewReader(io.LimitReader(resp, 16<<10)), nil)
	if err != nil {
		return
	}
	defer r.Body.Close()
	if e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable {
		e.After = retryAfter(r.Header.Get("Retry-After"), now)
	}
	if r.ContentLength < 0 {
		return // the end of the body is the end of the connection: do not wait for it
	}
	e.detail(r.Body)
}

// detail takes the words of an RFC 9457 body.
func (e *RefusedError) detail(body io.Reader) {
	var p struct{ Title, Detail string }
	if json.NewDecoder(io.LimitReader(body, 8<<10)).Decode(&p) != nil {
		return
	}
	switch {
	case p.Detail != "":
		e.Msg = p.Detail
	case p.Title != "":
		e.Msg = p.Title
	}
}
