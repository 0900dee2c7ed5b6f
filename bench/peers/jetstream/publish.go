package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// job is what to publish.
type job struct {
	URL         string  `json:"url"`
	Frames      string  `json:"frames"` // file of {length u32le, bytes}
	Events      int     `json:"events"` // in a frame
	Connections int     `json:"connections"`
	Pending     int     `json:"pending"` // messages not acknowledged, over all connections
	Seconds     float64 `json:"seconds"`
	Rate        float64 `json:"rate"` // events a second on schedule; 0: as many as are acknowledged
}

// result is what was seen.
type result struct {
	Events  uint64  `json:"events"` // acknowledged
	Seconds float64 `json:"seconds"`
	Bytes   uint64  `json:"bytes"` // of messages
	P50     float64 `json:"p50_ms"`
	P99     float64 `json:"p99_ms"`
	P999    float64 `json:"p999_ms"`
	Late    uint64  `json:"late"` // messages that waited for room among the pending
}

// flight is a message on its way.
type flight struct {
	due time.Time
	ack jetstream.PubAckFuture
}

func publish(j job) (*result, error) {
	frames, err := readFrames(j.Frames)
	if err != nil {
		return nil, err
	}
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		waits []time.Duration
		r     result
		errs  []error
		last  time.Time
	)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	links := make([]jetstream.JetStream, j.Connections)
	for i := range links {
		nc, err := nats.Connect(j.URL)
		if err != nil {
			return nil, err
		}
		defer nc.Close()
		if links[i], err = jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(max(j.Pending/j.Connections, 1))); err != nil {
			return nil, err
		}
	}
	if _, err := links[0].CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"events.>"}, Storage: jetstream.FileStorage}); err != nil {
		return nil, err
	}
	begin := time.Now()
	for i, js := range links {
		all.Go(func() {
			p := publisher{js: js, job: &j, frames: frames, index: i, begin: begin, pending: make(chan flight, max(j.Pending/j.Connections, 1))}
			err := p.run()
			mu.Lock()
			defer mu.Unlock()
			waits = append(waits, p.waits...)
			r.Bytes += p.bytes
			r.Late += p.late
			if p.last.After(last) {
				last = p.last
			}
			if err != nil {
				errs = append(errs, err)
			}
		})
	}
	all.Wait()
	if len(errs) > 0 || len(waits) == 0 {
		return nil, errors.Join(append(errs, errors.New("nothing more was acknowledged"))...)
	}
	slices.Sort(waits)
	at := func(q float64) float64 {
		return float64(waits[min(int(q*float64(len(waits))), len(waits)-1)]) / 1e6
	}
	r.Events, r.Seconds = uint64(len(waits)*j.Events), last.Sub(begin).Seconds()
	r.P50, r.P99, r.P999 = at(0.5), at(0.99), at(0.999)
	return &r, nil
}

// publisher is one connection's: it publishes, and its other goroutine takes the
// acknowledgements, which come in order.
type publisher struct {
	js      jetstream.JetStream
	job     *job
	frames  [][]byte
	index   int
	begin   time.Time
	pending chan flight

	waits []time.Duration
	last  time.Time
	bytes uint64
	late  uint64
}

func (p *publisher) run() error {
	done := make(chan error, 1)
	go func() { done <- p.take() }()
	err := p.send()
	close(p.pending)
	return errors.Join(err, <-done)
}

func (p *publisher) send() error {
	end := p.begin.Add(time.Duration(p.job.Seconds * 1e9))
	subject := fmt.Sprintf("events.%d", p.index)
	var gap time.Duration // between two messages of this connection
	if p.job.Rate > 0 {
		gap = time.Duration(float64(p.job.Events*p.job.Connections) / p.job.Rate * 1e9)
	}
	for n := 0; ; n++ {
		due := time.Now()
		if gap > 0 {
			due = p.begin.Add(time.Duration(n) * gap)
			time.Sleep(time.Until(due))
		}
		if due.After(end) {
			return nil
		}
		msg := s2.Encode(nil, p.frames[(n*p.job.Connections+p.index)%len(p.frames)])
		p.bytes += uint64(len(msg))
		ack, err := p.js.PublishAsync(subject, msg, jetstream.WithStallWait(30*time.Second)) // the default, 200 ms, is an error where each message is synced
		if err != nil {
			return err
		}
		select {
		case p.pending <- flight{due, ack}:
		default:
			p.late++
			p.pending <- flight{due, ack}
		}
	}
}

func (p *publisher) take() error {
	var failed error
	for f := range p.pending {
		select {
		case <-f.ack.Ok():
			p.last = time.Now()
			p.waits = append(p.waits, p.last.Sub(f.due))
		case err := <-f.ack.Err():
			failed = err
		}
	}
	return failed
}

func readFrames(path string) (frames [][]byte, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for len(b) >= 4 {
		n := int(binary.LittleEndian.Uint32(b))
		if n > len(b)-4 {
			break
		}
		frames = append(frames, b[4:4+n])
		b = b[4+n:]
	}
	if len(frames) == 0 || len(b) != 0 {
		return nil, fmt.Errorf("%s holds no whole frames", path)
	}
	return frames, nil
}
