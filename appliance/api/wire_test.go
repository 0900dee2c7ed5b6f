//go:build linux

package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// raw sends bytes and returns all that comes back before the end.
func (r *rig) raw(t *testing.T, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", r.web)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(15 * time.Second))
	if _, err := c.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil && !strings.Contains(err.Error(), "reset") {
		t.Fatalf("%q: %v after %q", request, err, b)
	}
	return string(b)
}

// What two readers of HTTP could understand differently is refused, and the
// connection closed, so that nothing behind it is taken for a request. It makes
// no difference whether it is the first on its connection, which a loop reads,
// or a later one.
func TestAmbiguousHTTP(t *testing.T) {
	r := newRig(t)
	hidden := "GET /v1/session HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + r.keys["admin"] + "\r\n\r\n"
	post := "POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + r.keys["agent"] + "\r\n"
	for name, request := range map[string]string{
		"length and coding":        post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"coding and length":        post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
		"two lengths":              post + "Content-Length: 2\r\nContent-Length: 40\r\n\r\n[]",
		"two equal lengths":        post + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n[]",
		"a list of lengths":        post + "Content-Length: 2, 2\r\n\r\n[]",
		"a signed length":          post + "Content-Length: +2\r\n\r\n[]",
		"a negative length":        post + "Content-Length: -1\r\n\r\n[]",
		"two codings":              post + "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"an unknown coding":        post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"a coding in disguise":     post + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
		"a folded line":            "GET /health HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n two\r\n\r\n",
		"a folded coding":          post + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
		"a space before the colon": post + "Content-Length : 2\r\n\r\n[]",
		"a coding with a space":    post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
		"a line without a colon":   "GET /health HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n",
		"an empty name":            "GET /health HTTP/1.1\r\nHost: x\r\n: v\r\n\r\n",
		"a null in a name":         "GET /health HTTP/1.1\r\nHost: x\r\nX\x00A: v\r\n\r\n",
		"two hosts":                "GET /health HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
		"no host":                  "GET /health HTTP/1.1\r\nX-A: 1\r\n\r\n",
	} {
		for place, before := range map[string]string{"first": "", "second": "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"} {
			got := r.raw(t, before+request+hidden)
			if before != "" {
				i := strings.Index(got, `{"status":"ok"}`)
				if i < 0 {
					t.Errorf("%s, %s: the request before it got %q", name, place, got)
					continue
				}
				got = got[i+len(`{"status":"ok"}`):]
			}
			resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(got)), nil)
			if err != nil {
				t.Errorf("%s, %s: %q: %v", name, place, got, err)
				continue
			}
			if resp.StatusCode != 400 || !resp.Close || resp.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s, %s: %q", name, place, got)
			}
			if n := strings.Count(got, "HTTP/1.1 "); n != 1 {
				t.Errorf("%s, %s: %d answers: %q", name, place, n, got)
			}
		}
	}
	if n := r.count("x"); n != 0 {
		t.Errorf("%d events were stored", n)
	}
}

// Requests one behind the other are answered in order.
func TestPipelining(t *testing.T) {
	r := newRig(t)
	body := `{"type":"log","agent":"piped"}`
	got := r.raw(t, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"+
		fmt.Sprintf("POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", r.keys["agent"], len(body), body)+
		fmt.Sprintf("POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", r.keys["agent"], len(body), body)+
		"GET /v1/nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	br := bufio.NewReader(strings.NewReader(got))
	for i, want := range []int{200, 200, 200, 404} {
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatalf("answer %d: %v in %q", i, err, got)
		}
		io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != want {
			t.Errorf("answer %d: %d, want %d", i, resp.StatusCode, want)
		}
	}
	if n := r.count("piped"); n != 2 {
		t.Errorf("%d events are stored, want 2", n)
	}
}

func TestLargeHeader(t *testing.T) {
	r := newRig(t)
	for place, before := range map[string]string{"first": "", "second": "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"} {
		got := r.raw(t, before+"GET /health HTTP/1.1\r\nHost: x\r\nX-Long: "+strings.Repeat("x", 20<<10)+"\r\n\r\n")
		if !strings.Contains(got, "HTTP/1.1 431 ") {
			t.Errorf("%s: %q", place, got)
		}
	}
}

// Who sends slowly is cut off: a head, a later head, a body.
func TestSlowRequests(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the time-outs")
	}
	r := newRig(t)
	var wg sync.WaitGroup
	for name, start := range map[string]string{
		"nothing":      "",
		"a head":       "GET /health HTTP/1.1\r\nHost: x\r\nX-",
		"a later head": "GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /health HTTP/1.1\r\nX-",
		"a body":       "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[",
	} {
		wg.Go(func() {
			if err := r.trickle(start); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	wg.Wait()
}

// trickle sends start and then a byte a second, until it is cut off.
func (r *rig) trickle(start string) error {
	c, err := net.Dial("tcp", r.web)
	if err != nil {
		return err
	}
	defer c.Close()
	begin := time.Now()
	c.SetDeadline(begin.Add(20 * time.Second))
	if _, err := c.Write([]byte(start)); err != nil {
		return err
	}
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				if start != "" {
					c.Write([]byte("x"))
				}
			}
		}
	}()
	b, err := io.ReadAll(c)
	took := time.Since(begin)
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		return fmt.Errorf("still open after %v; it said %q", took, b)
	}
	if took < 5*time.Second {
		return fmt.Errorf("cut off after %v already: %q", took, b)
	}
	return nil
}
