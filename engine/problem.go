//go:build linux

package engine

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// problem is an RFC 9457 answer's body.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// appendProblem appends a whole HTTP/1.1 answer that ends the connection. after
// is for Retry-After; 0 leaves it out.
func appendProblem(dst []byte, r *Refusal, after time.Duration) []byte {
	title := http.StatusText(r.Status)
	body, err := json.Marshal(problem{"about:blank", title, r.Status, r.Code, r.Msg})
	if err != nil { // five strings and a number: cannot happen
		panic(err)
	}
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(r.Status), 10)
	dst = append(append(dst, ' '), title...)
	dst = append(dst, "\r\nContent-Type: application/problem+json\r\nCache-Control: no-store\r\nConnection: close\r\n"...)
	switch r.Status {
	case http.StatusUnauthorized:
		dst = append(dst, "WWW-Authenticate: Bearer realm=\"eyrie\"\r\n"...)
	case http.StatusUpgradeRequired: // RFC 6455, 4.2.2: name the versions that are spoken
		dst = append(dst, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"...)
	}
	if after > 0 {
		dst = append(strconv.AppendInt(append(dst, "Retry-After: "...), int64((after+time.Second-1)/time.Second), 10), "\r\n"...)
	}
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(body)), 10)
	dst = append(dst, "\r\n\r\n"...)
	return append(dst, body...)
}
