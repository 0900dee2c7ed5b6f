package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What goes wrong with a job is said as it is: that the folder's server is to be
// named only where it was not asked.
func TestJob(t *testing.T) {
	const inUse = "in use by a server"
	for _, c := range []struct {
		name      string
		post, get string // status and body
		named     bool
		code      int
		says, not string
	}{
		{"it fails", `202 {"state":"running"}`, `200 {"state":"failed","error":"no room"}`, false, exitFailed, "no room", inUse},
		{"it is refused", `409 {"detail":"one runs already"}`, "", false, exitFailed, "one runs already", inUse},
		{"it breaks off", `202 {"state":"running"}`, `401 {"detail":"no such key"}`, false, exitServer, "no such key", inUse},
		{"another server", `401 {"detail":"no such key"}`, "", false, exitData, inUse, ""},
		{"another server, named", `401 {"detail":"no such key"}`, "", true, exitServer, "no such key", inUse},
		{"done", `202 {"state":"running"}`, `200 {"state":"done"}`, false, 0, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				answer := c.get
				if r.Method == "POST" {
					answer = c.post
				}
				var status int
				fmt.Sscan(answer, &status)
				w.WriteHeader(status)
				fmt.Fprint(w, answer[4:])
			}))
			defer srv.Close()
			defer func(was string) { holder = was }(holder)
			holder = srv.URL
			s := serverFlags{Key: "k", Data: "folder"}
			if c.named {
				s.Server = srv.URL
			}
			var st struct{ jobState }
			err := s.job(t.Context(), "/v1/x", nil, &st, nil)
			if c.code == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || exitCodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) || c.not != "" && strings.Contains(err.Error(), c.not) {
				t.Errorf("%v, exit code %d, want %d", err, exitCodeOf(err), c.code)
			}
		})
	}
	t.Run("called off", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, `{"state":"running"}`)
			cancel()
		}))
		defer srv.Close()
		defer func(was string) { holder = was }(holder)
		holder = srv.URL
		var st struct{ jobState }
		if err := (serverFlags{Key: "k"}).job(ctx, "/v1/x", nil, &st, nil); err == nil || strings.Contains(err.Error(), inUse) || exitCodeOf(err) == exitData {
			t.Errorf("%v", err)
		}
	})
}
