// Command centrifuge is a Centrifuge node for a comparison: it serves viewers over
// WebSocket and publishes to all of them from within. It is a module of its own so
// that eyrie's stays free of these dependencies; `eyrie bench live` builds it.
package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/centrifugal/centrifuge"
)

// channel is the one that everyone watches.
const channel = "events"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves on a free loopback port, which it prints. Each line of standard input
// is a rate: it publishes so many messages a second, none at 0, and prints the number
// of the last one. It ends with standard input.
func run() error {
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		return err
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{UserID: "viewer"}}, nil
	})
	node.OnConnect(func(c *centrifuge.Client) {
		c.OnSubscribe(func(_ centrifuge.SubscribeEvent, done centrifuge.SubscribeCallback) {
			done(centrifuge.SubscribeReply{}, nil)
		})
	})
	if err := node.Run(); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	mux := http.NewServeMux()
	mux.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{}))
	go func() { failed <- http.Serve(l, mux) }()
	fmt.Println(l.Addr())
	p := &publisher{node: node}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		rate, err := strconv.ParseFloat(strings.TrimSpace(in.Text()), 64)
		if err != nil {
			return err
		}
		if err := p.set(rate); err != nil {
			return err
		}
		fmt.Println(p.last.Load())
	}
	select {
	case err = <-failed:
	default:
		err = in.Err()
	}
	return err
}

// publisher publishes on schedule.
type publisher struct {
	node  *centrifuge.Node
	last  atomic.Uint64
	stop  chan struct{}
	ended chan error
}

// set ends what is published now, and begins to publish at another rate.
func (p *publisher) set(rate float64) error {
	if p.stop != nil {
		close(p.stop)
		if err := <-p.ended; err != nil {
			return err
		}
		p.stop = nil
	}
	if rate > 0 {
		p.stop, p.ended = make(chan struct{}), make(chan error, 1)
		go func() { p.ended <- p.run(time.Duration(float64(time.Second) / rate)) }()
	}
	return nil
}

func (p *publisher) run(every time.Duration) error {
	began := time.Now()
	var b []byte
	for i := 0; ; i++ {
		due := began.Add(time.Duration(i) * every)
		select {
		case <-p.stop:
			return nil
		case <-time.After(time.Until(due)):
		}
		n := p.last.Load() + 1
		b = message(b[:0], due, n)
		if _, err := p.node.Publish(channel, b); err != nil {
			return err
		}
		p.last.Store(n)
	}
}

// message is what a viewer of eyrie gets of an event of its probe.
func message(b []byte, due time.Time, n uint64) []byte {
	return fmt.Appendf(b, `{"offset":%d,"recv_ms":%d.123,"space":"main","agent":"probe/0","producer":3,"seq":%d,"type":"log","phase":"whole","severity":"info","ts":%d,"msg":"a marker of the time at which it was due, beside the load","x_us":%d,"x_n":%d}`,
		n+1000, due.UnixMilli(), n, due.UnixMilli(), due.UnixMicro(), n)
}
