package main

import (
	"net"
	"net/http"

	"github.com/lxzan/gws"
)

type gwsHandler struct{ gws.BuiltinEventHandler }

// OnMessage echoes; under /sink it drops.
func (gwsHandler) OnMessage(c *gws.Conn, m *gws.Message) {
	if sink, _ := c.Session().Load("sink"); sink == nil {
		_ = c.WriteMessage(m.Opcode, m.Bytes())
	}
	m.Close()
}

// OnPing answers.
func (gwsHandler) OnPing(c *gws.Conn, p []byte) { _ = c.WritePong(p) }

func serveGWS(port string) error {
	up := gws.NewUpgrader(gwsHandler{}, &gws.ServerOption{
		Authorize: func(r *http.Request, s gws.SessionStorage) bool {
			if r.URL.Path == "/sink" {
				s.Store("sink", true)
			}
			return true
		},
	})
	return http.ListenAndServe(net.JoinHostPort("127.0.0.1", port), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r)
		if err != nil {
			return
		}
		go c.ReadLoop()
	}))
}
