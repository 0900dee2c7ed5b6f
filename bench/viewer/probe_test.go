package viewer

import (
	"context"
	"net"
	"testing"
	"time"

	"eyrie/engine/wire"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("eyrie/bench/child.keep"))
}

// serveAgents takes one link, says welcome from next on and acknowledges each
// event; the numbers go to got.
func serveAgents(t *testing.T, next uint64, got chan<- uint64) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-ended })
	go func() {
		defer close(ended)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		if _, err := (ws.Upgrader{Protocol: func([]byte) bool { return true }}).Upgrade(c); err != nil {
			return
		}
		var p wire.Parser
		for {
			b, _, err := wsutil.ReadClientData(c)
			if err != nil {
				return
			}
			var m wire.Message
			if fe := p.Parse(wire.MsgPack, b, &m); fe != nil {
				t.Errorf("the probe sent what cannot be read: %v", fe)
				return
			}
			out := wire.AppendWelcome(nil, wire.MsgPack, &wire.Welcome{Next: next})
			if m.Op == wire.OpEvents {
				got <- m.Seq
				out = wire.AppendAck(nil, wire.MsgPack, m.Seq)
			}
			if wsutil.WriteServerBinary(c, out) != nil {
				return
			}
		}
	}()
	return l.Addr().String()
}

// A probe goes on from where the server says, on schedule, and has everything
// acknowledged when it ends.
func TestProbe(t *testing.T) {
	got := make(chan uint64, 1000)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	p, err := StartProbe(ctx, serveAgents(t, 5, got), "key", 500)
	if err != nil {
		t.Fatal(err)
	}
	for want := uint64(5); want < 15; want++ {
		if n := <-got; n != want {
			t.Fatalf("event %d after %d", n, want-1)
		}
	}
	last, err := p.Stop(ctx)
	if err != nil || last < 14 || p.acked.Load() != last {
		t.Errorf("stopped at %d with %d acknowledged: %v", last, p.acked.Load(), err)
	}
}
