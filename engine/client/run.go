package client

import (
	"errors"
	"net/url"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// run holds one link after another until the client ends. first is told how the first welcome went.
func (c *Client) run(first chan<- error) {
	defer close(c.done)
	u, err := target(c.opt.URL)
	if err != nil {
		c.end(err)
		first <- err
		return
	}
	home, greeted := u, false
	finish := func(err error) {
		c.end(err)
		if !greeted {
			first <- err
		}
	}
	for {
		l, err := c.open(u)
		if err == nil {
			if !greeted {
				first <- nil
				greeted = true
			}
			err = l.serve()
			c.drop()
		} else {
			u = home // where a goaway sent us there may be nobody
		}
		if c.ctx.Err() != nil {
			finish(ErrClosed)
			return
		}
		c.mu.Lock()
		c.lastErr = err
		c.mu.Unlock()
		pause := c.opt.Backoff.NextBackOff()
		if final(err, greeted) || c.opt.FailFast && !greeted || pause == backoff.Stop {
			c.opt.Log("link ended for good", "error", err)
			finish(err)
			return
		}
		pause = c.pause(err, pause)
		var bye *goawayError
		if errors.As(err, &bye) {
			u = c.follow(u, bye.url)
		}
		c.opt.Log("link down", "error", err, "again_in", pause)
		c.sleep(pause)
	}
}

// final reports whether the error ends the client. A policy close on a link that was welcomed may be a timeout.
func final(err error, greeted bool) bool {
	if errors.Is(err, ErrFenced) || errors.Is(err, ErrEpochLow) {
		return true
	}
	var r *RefusedError
	if !errors.As(err, &r) || !r.final() {
		return false
	}
	return r.Status < 1000 || !greeted
}

// follow returns where a goaway sends the client. A key that travelled encrypted does not go on in the clear.
func (c *Client) follow(now *url.URL, to string) *url.URL {
	if to == "" {
		return now
	}
	u, err := target(to)
	if err != nil || now.Scheme == "wss" && u.Scheme != "wss" {
		c.opt.Log("goaway to an address that cannot be followed", "url", to)
		return now
	}
	return u
}

// sleep pauses between links, less when the client ends.
func (c *Client) sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.ctx.Done():
	}
}
