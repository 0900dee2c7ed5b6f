package client

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// awayMax bounds how long a server may send a client away: ten minutes, the longest block of an eyrie.
const awayMax = 10 * time.Minute

// awayJitter is the most that is added to what was told, as a share of it: those sent away together do not come back
// together, and none comes back early.
const awayJitter = 0.25

// away returns how long the server asked to stay away, by whatever it said it; 0 for nothing.
func away(err error) time.Duration {
	var g *goawayError
	if errors.As(err, &g) {
		return g.after
	}
	var r *RefusedError
	if errors.As(err, &r) {
		return r.After
	}
	return 0
}

// pause returns how long to wait before the next link: as long as was told, and no less than backoff.
func (c *Client) pause(err error, backoff time.Duration) time.Duration {
	told := min(away(err), awayMax)
	return max(backoff, told+time.Duration(c.opt.Random()*awayJitter*float64(told)))
}

// retryAfter parses the header of that name: seconds or a date (RFC 9110, 10.2.3); 0 for neither.
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return seconds(n)
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// comeBack parses what the reason of a close says at its end, "come back in N s"; 0 for nothing.
func comeBack(reason string) time.Duration {
	_, after, _ := strings.Cut(reason, "come back in ")
	if n, err := strconv.ParseUint(strings.TrimSuffix(after, " s"), 10, 64); err == nil {
		return seconds(n)
	}
	return 0
}

func seconds(n uint64) time.Duration {
	return time.Duration(min(n, uint64(awayMax/time.Second))) * time.Second
}
