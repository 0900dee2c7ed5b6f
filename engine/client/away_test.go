package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/gobwas/ws"

	"eyrie/engine/wire"
)

// pipes runs a server and a client on a clock of their own, joined by pipes; dials returns the time of each dial. The
// backoff is a millisecond: longer waits are the server's.
func pipes(t *testing.T, set func(*server, *Options), with func(t *testing.T, c *Client, err error, dials func() []time.Duration)) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{t: t, next: 1, conns: map[net.Conn]bool{}}
		var dials []time.Duration // guarded by s.mu
		began := time.Now()
		opt := Options{URL: "ws://eyrie.test", Key: "sesame", Epoch: 5, Backoff: backoff.NewConstantBackOff(time.Millisecond), Random: func() float64 { return 0 }}
		opt.NetDial = func(context.Context, string, string) (net.Conn, error) {
			s.mu.Lock()
			dials = append(dials, time.Since(began))
			s.mu.Unlock()
			ours, theirs := net.Pipe()
			s.wg.Go(func() { s.serve(theirs) })
			return ours, nil
		}
		set(s, &opt)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		c, err := Dial(ctx, opt)
		defer func() {
			if c != nil {
				gone, cancel := context.WithCancel(context.Background())
				cancel()
				c.Close(gone)
			}
			s.wg.Wait()
			for _, f := range s.faults {
				t.Error(f)
			}
		}()
		with(t, c, err, func() []time.Duration {
			s.mu.Lock()
			defer s.mu.Unlock()
			return slices.Clone(dials)
		})
	})
}

func refuse(status int, after string) error {
	return ws.RejectConnectionError(ws.RejectionStatus(status), ws.RejectionReason("no"),
		ws.RejectionHeader(ws.HandshakeHeaderHTTP(http.Header{"Retry-After": {after}})))
}

func TestRetryAfterIsObeyed(t *testing.T) {
	for _, c := range []struct {
		status int
		after  string
		jitter float64
		want   time.Duration
	}{
		{429, "7", 0, 7 * time.Second},
		{503, "8", 1, 10 * time.Second}, // a quarter later at most
		{429, "8", 0.5, 9 * time.Second},
		{503, "86400", 0, awayMax},
		{503, "18446744073709551616", 0, time.Millisecond}, // no number we know: the backoff is left
		{429, "-3", 0, time.Millisecond},
		{429, "soon", 0, time.Millisecond},
		{429, "0", 0, time.Millisecond},
		{500, "7", 0, time.Millisecond}, // says nothing where it has no meaning
	} {
		t.Run(fmt.Sprint(c.status, " ", c.after, " ", c.jitter), func(t *testing.T) {
			refused := 0
			pipes(t, func(s *server, o *Options) {
				o.Random = func() float64 { return c.jitter }
				s.reject = func() error {
					if refused++; refused == 1 {
						return refuse(c.status, c.after)
					}
					return nil
				}
			}, func(t *testing.T, _ *Client, err error, dials func() []time.Duration) {
				if err != nil {
					t.Fatal(err)
				}
				if len(dials()) != 2 || dials()[1] != c.want {
					t.Fatalf("dialled at %v, want the second at %v", dials(), c.want)
				}
			})
		})
	}
}

func TestRetryAfterMayBeADate(t *testing.T) {
	now := time.Date(2026, 11, 22, 7, 0, 0, 500, time.UTC)
	for at, want := range map[time.Time]time.Duration{now.Add(9 * time.Second): 9*time.Second - 500, now.Add(-time.Hour): 0} {
		if got := retryAfter(at.Format(http.TimeFormat), now); got != want {
			t.Errorf("%v: %v, want %v", at, got, want)
		}
	}
}

// A block is told by the close of the link, then by 429 for as long as it lasts.
func TestBlocksAreSatOut(t *testing.T) {
	for _, c := range []struct {
		code   ws.StatusCode
		reason string
		want   time.Duration
	}{
		{1008, "17 pings in a row; come back in 4 s", 4 * time.Second},
		{1013, "disk full: come back in 30 s", 30 * time.Second},
		{1013, "come back in 100000 s", awayMax},
		{1013, "disk full: hold your events and come back", time.Millisecond},
		{1008, "come back in a while", time.Millisecond},
		{1001, "come back in 4 s", time.Millisecond}, // another code: words for people
	} {
		t.Run(fmt.Sprint(uint16(c.code), " ", c.reason), func(t *testing.T) {
			byes := 0
			pipes(t, func(s *server, _ *Options) {
				s.bye = func() (ws.StatusCode, string) {
					if byes++; byes == 1 {
						return c.code, c.reason
					}
					return 0, ""
				}
			}, func(t *testing.T, cl *Client, err error, dials func() []time.Duration) {
				if err != nil {
					t.Fatal(err)
				}
				if time.Sleep(c.want - time.Nanosecond); c.want > time.Millisecond {
					if synctest.Wait(); len(dials()) != 1 {
						t.Fatalf("dialled at %v, want nothing before %v", dials(), c.want)
					}
				}
				if _, err := cl.Send(t.Context(), event(0)); err != nil {
					t.Fatal(err)
				}
				if err := cl.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				if len(dials()) != 2 || dials()[1] != c.want {
					t.Fatalf("dialled at %v, want the second at %v", dials(), c.want)
				}
			})
		})
	}
}

// What is told before the first welcome is no last word either, and a client that is to fail fast tells how long it
// would have had to wait.
func TestToldBeforeTheFirstWelcome(t *testing.T) {
	pipes(t, func(s *server, o *Options) {
		o.FailFast = true
		s.reject = func() error { return refuse(429, "7") }
	}, func(t *testing.T, _ *Client, err error, dials func() []time.Duration) {
		var r *RefusedError
		if !errors.As(err, &r) || r.Status != 429 || r.After != 7*time.Second || len(dials()) != 1 {
			t.Fatalf("%v after %d dials", err, len(dials()))
		}
	})
	if final(&RefusedError{Status: 1008, After: time.Second}, false) || !final(&RefusedError{Status: 1008}, false) {
		t.Fatal("a close that says when to come back is not final; one that does not is")
	}
}

// TestCloseWhileNotRead: a server that does not read holds no Close up for longer than it is given.
func TestCloseWhileNotRead(t *testing.T) {
	var release chan struct{}
	pipes(t, func(s *server, o *Options) {
		release = make(chan struct{}) // of the bubble
		s.onFrame = func(int, *wire.Message) fault {
			<-release
			return 0
		}
	}, func(t *testing.T, c *Client, err error, dials func() []time.Duration) {
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			if _, err := c.Send(t.Context(), event(i)); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		began := time.Now()
		_ = c.Close(ctx)
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("closed after %v", d)
		}
		close(release)
	})
}
