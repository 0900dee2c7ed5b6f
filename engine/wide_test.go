//go:build linux

package engine

import (
	"fmt"
	"net/netip"
	"testing"

	"eyrie/netpoll"
)

// What a link has beyond its slot comes back exactly, and goes with it.
func TestWideLinks(t *testing.T) {
	l := &loop{}
	for i, at := range []string{"10.1.2.3:4", "[::ffff:10.1.2.3]:4", "[2001:db8::7]:65535", "[::1]:9"} {
		lk := &link{h: netpoll.Handle(1<<32 + i)}
		want := netip.MustParseAddrPort(at)
		want = netip.AddrPortFrom(want.Addr().Unmap(), want.Port())
		l.setRemote(lk, want)
		if got := l.remote(lk); got != want {
			t.Errorf("%v came back as %v", want, got)
		}
		if (lk.flags&linkWide != 0) != want.Addr().Is6() {
			t.Errorf("%v: in the side table: %v", want, lk.flags&linkWide != 0)
		}
		var events, bytes uint64
		for n := range 10 {
			l.received(lk, n*(1<<29), n*(1<<30)+3)
			events, bytes = events+uint64(n)<<29, bytes+uint64(n)<<30+3
			if e, b := l.totals(lk); e != events || b != bytes {
				t.Fatalf("counted %d events and %d bytes, want %d and %d", e, b, events, bytes)
			}
		}
		if got := l.remote(lk); got != want {
			t.Errorf("%v came back as %v once counts had grown", want, got)
		}
		l.forget(lk)
		if len(l.wide) != 0 || fmt.Sprint(*lk) != fmt.Sprint(link{}) {
			t.Errorf("something of a link is left: %v, %v", l.wide, *lk)
		}
	}
}
