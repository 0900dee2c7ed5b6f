package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"eyrie/appliance/sources"
	"eyrie/engine/client"
	"eyrie/engine/wire"

	"github.com/google/uuid"
)

// clientSink is a sources.Sink over the Go client.
type clientSink struct {
	c *client.Client
}

// Whether dialSink ends with the first failure or tries until ctx ends.
const (
	firstTry   = true
	keepTrying = false
)

// dialSink connects as the given producer.
func (s *serverFlags) dialSink(ctx context.Context, producer uuid.UUID, failFast bool) (*clientSink, error) {
	u, err := s.base()
	if err != nil {
		return nil, err
	}
	key, err := s.key("agent")
	if err != nil {
		return nil, err
	}
	c, err := client.Dial(ctx, client.Options{
		URL: u.String(), Key: key, Producer: producer, FailFast: failFast,
		OnNack: func(n client.Nack) {
			fmt.Fprintf(os.Stderr, "eyrie: refused: events %d to %d: %s: %s (%s)\n", n.From, n.To, plain(n.Field), plain(n.Msg), plain(n.Code))
		},
	})
	if err != nil {
		return nil, exit(exitServer, "%s: %v", u, err)
	}
	return &clientSink{c}, nil
}

// Welcome implements sources.Sink.
func (s *clientSink) Welcome(context.Context) ([]byte, error) { return s.c.Welcome().Pos, nil }

// Send implements sources.Sink.
func (s *clientSink) Send(ctx context.Context, events []wire.Event, pos []byte) error {
	if pos == nil {
		_, err := s.c.Send(ctx, events...)
		return err
	}
	_, err := s.c.SendWithPos(ctx, events, pos)
	return err
}

// Flush implements sources.Sink.
func (s *clientSink) Flush(ctx context.Context) error { return s.c.Flush(ctx) }

// close settles what was sent and ends the link.
func (s *clientSink) close(ctx context.Context) error {
	err := s.c.Close(ctx)
	if errors.Is(err, client.ErrClosed) {
		return nil
	}
	return err
}

var _ sources.Sink = (*clientSink)(nil)
