//go:build linux

package conform

import (
	"context"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"

	"eyrie/bench/echo"
)

// serve runs an echo server for the length of a test.
func serve(t *testing.T, deflate bool) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	at, ended := make(chan netip.AddrPort, 1), make(chan error, 1)
	go func() {
		ended <- echo.Serve(ctx, echo.Config{Listen: "127.0.0.1:0", Loops: 2, Deflate: deflate}, func(a netip.AddrPort) { at <- a })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case a := <-at:
		return a.String()
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
	return ""
}

// lanes is how many cases run at a time.
const lanes = 16

func runAll(t *testing.T, addr string, cs []conformance, compressed bool) {
	t.Helper()
	full := os.Getenv("EYRIE_CONFORM") == "full"
	todo := make(chan *conformance)
	var wg sync.WaitGroup
	for range lanes {
		wg.Go(func() {
			for c := range todo {
				if err := c.run(addr, compressed); err != nil {
					t.Errorf("%s: %v", c.name, err)
				}
			}
		})
	}
	n := 0
	for i := range cs {
		if !cs[i].full || full && !testing.Short() {
			n++
			todo <- &cs[i]
		}
	}
	close(todo)
	wg.Wait()
	t.Logf("%d cases of %d", n, len(cs))
	if n == 0 {
		t.Error("no case was run")
	}
}

func plainCases() (cs []conformance) {
	cs = append(framingCases(), textCases()...)
	return append(append(cs, closeCases()...), largeCases()...)
}

func TestPlain(t *testing.T) {
	t.Parallel()
	runAll(t, serve(t, false), plainCases(), false)
}

// TestPlainWithDeflate: that compression was agreed on changes nothing for what
// is not compressed.
func TestPlainWithDeflate(t *testing.T) {
	t.Parallel()
	var cs []conformance
	for _, c := range plainCases() {
		if !strings.HasPrefix(c.name, "3/bits 4") { // RSV1 alone has a meaning now
			cs = append(cs, c)
		}
	}
	runAll(t, serve(t, true), cs, true)
}

func TestPacked(t *testing.T) {
	t.Parallel()
	runAll(t, serve(t, true), packedCases(), true)
}

// TestDeclined: a server that does not compress does not agree to.
func TestDeclined(t *testing.T) {
	p, err := dial(serve(t, false), "/echo", offers[0])
	if err != nil {
		t.Fatal(err)
	}
	defer p.c.Close()
	if p.agreed != "" {
		t.Errorf("agreed to %q", p.agreed)
	}
}

// TestAgreed: what is agreed to is what was offered (RFC 7692, 7.1).
func TestAgreed(t *testing.T) {
	addr := serve(t, true)
	for _, offer := range offers {
		p, err := dial(addr, "/echo", offer)
		if err != nil {
			t.Fatal(err)
		}
		p.c.Close()
		want := "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
		if _, bits, ok := strings.Cut(offer, "server_max_window_bits="); ok {
			bits, _, _ = strings.Cut(bits, ";")
			bits, _, _ = strings.Cut(bits, ",")
			want += "; server_max_window_bits=" + bits
		}
		if p.agreed != want {
			t.Errorf("%q: %q, want %q", offer, p.agreed, want)
		}
	}
}
