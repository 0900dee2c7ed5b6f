package hostile

import (
	"io"
	"net"
	"time"

	"eyrie/bench/links"
)

// stalledViewer watches everything, and reads nothing of it.
func stalledViewer(job Job) error {
	c, _, err := upgrade(job, job.Web, "/v1/live", job.Viewer, "eyrie.live.v1", tinyRead)
	if err != nil {
		return err
	}
	held = append(held, c)
	_, err = c.Write(text(`{"op":"subscribe","id":1,"what":"events","from":"now","mode":"all","credits":1000000000}`))
	return err
}

// Of an agent that does not read what it is told.
const (
	refusedEvery = time.Second
	refusedFrame = 10 // events, none of which is right: each is answered
)

// stalledAgent sends what is refused, and never reads that it was.
func stalledAgent(job Job, i int) error {
	c, err := agent(job, i, tinyRead)
	if err != nil {
		return err
	}
	held = append(held, c)
	go func() {
		for seq := 1; ; seq += refusedFrame {
			b := []byte(`{"type":"nothing that is known"}`)
			for range refusedFrame - 1 {
				b = append(b, `,{"type":"nothing that is known"}`...)
			}
			if _, err := c.Write(text(`{"op":"events","seq":%d,"events":[%s]}`, seq, b)); err != nil {
				return // the server has had enough
			}
			time.Sleep(refusedEvery)
		}
	}()
	return nil
}

// dripEvery is how long a slow writer takes for a byte.
const dripEvery = time.Second

// drip writes a byte at a time: a request head, or a frame. When the server
// ends it, it begins again.
func drip(job Job, i int) error {
	c, err := slow(job, i)
	if err != nil {
		return err
	}
	go func() {
		for {
			b := links.Request(nil, job.Ingest, "/v1/agent", "eyrie.v1.json", job.Agent)
			if i%2 == 0 {
				b = text(`{"op":"events","seq":1,"events":[{"type":"message","msg":"%01000d"}]}`, i)
			}
			for _, x := range b {
				time.Sleep(dripEvery)
				if _, err := c.Write([]byte{x}); err != nil {
					break
				}
			}
			c.Close()
			for c, err = slow(job, i); err != nil; c, err = slow(job, i) {
				time.Sleep(dripEvery)
			}
		}
	}()
	return nil
}

// slow connects; every other peer also says hello.
func slow(job Job, i int) (net.Conn, error) {
	if i%2 == 0 {
		return agent(job, i, 0)
	}
	return open(job, job.Ingest, 0)
}

// greedEvery is how long a greedy peer that was turned away waits.
const greedEvery = 50 * time.Millisecond

// greedy connects until nothing more is accepted; each peer that is turned away
// asks again.
func greedy(job Job) {
	for range job.Count {
		go func() {
			for {
				c, err := open(job, job.Ingest, 0)
				if err == nil {
					_, _ = io.Copy(io.Discard, c) // until the server closes it
					c.Close()
				}
				time.Sleep(greedEvery)
			}
		}()
	}
}
