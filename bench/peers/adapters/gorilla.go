package main

import (
	"net"
	"net/http"

	"github.com/gorilla/websocket"
)

func serveGorilla(port string) error {
	up := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	serve := func(sink bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			c, err := up.Upgrade(w, r, nil)
			if err != nil {
				return
			}
			defer c.Close()
			for {
				op, p, err := c.ReadMessage()
				if err != nil {
					return
				}
				if !sink && c.WriteMessage(op, p) != nil {
					return
				}
			}
		}
	}
	http.HandleFunc("/echo", serve(false))
	http.HandleFunc("/sink", serve(true))
	return http.ListenAndServe(net.JoinHostPort("127.0.0.1", port), nil)
}
