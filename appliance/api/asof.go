package api

import (
	"math"
	"strconv"
	"strings"
	"time"

	"eyrie/appliance/views/fleet"
)

// asOf says which moment an answer is the state of.
type asOf struct {
	At      float64 `json:"at"`     // Unix ms of the last record in it
	Offset  uint64  `json:"offset"` // the state is the one behind it
	Partial bool    `json:"partial"`
}

// pastWait is how long a request waits for a past state.
const pastWait = 20 * time.Second

// asOf returns the fleet as it was at the moment asked for with at=, or, with
// nil, as it is.
func (q *req) asOf() (*fleet.View, *asOf, error) {
	arg := q.arg("at")
	if arg == "" {
		return q.views.Fleet, nil, nil
	}
	offset, recv, err := q.moment(arg)
	if err != nil {
		return nil, nil, err
	}
	ctx, release := detach(q, pastWait)
	defer release()
	var s *fleet.PastState
	if offset != 0 {
		s, err = q.views.Past.Behind(ctx, offset)
	} else {
		s, err = q.views.Past.At(ctx, recv)
	}
	if err != nil {
		return nil, nil, err
	}
	return s.View, &asOf{At: float64(s.At/1e3) / 1e3, Offset: s.Offset, Partial: s.Partial}, nil
}

// moment reads offset:N, Unix ms, an instant of RFC 3339 or a negative duration.
func (q *req) moment(arg string) (offset uint64, recv int64, err error) {
	if n, ok := strings.CutPrefix(arg, "offset:"); ok {
		if offset, err = strconv.ParseUint(n, 10, 53); err != nil || offset == 0 {
			return 0, 0, badField("at", "want offset: with an offset of the log")
		}
		return offset, 0, nil
	}
	if d, err := time.ParseDuration(arg); err == nil && d < 0 {
		return 0, q.s.p.Now().Add(d).UnixNano(), nil
	}
	if t, err := time.Parse(time.RFC3339, arg); err == nil && t.Unix() >= 0 && t.Unix() <= msMax/1000 {
		return 0, t.UnixNano(), nil
	}
	if ms, err := strconv.ParseFloat(arg, 64); err == nil && ms >= 0 && ms <= msMax {
		// A clock's last nanosecond belongs to the millisecond asked for.
		return 0, int64(math.Floor(ms*1e3))*1e3 + 999, nil
	}
	return 0, 0, badField("at", "want Unix milliseconds, an instant of RFC 3339, a negative duration as -5m, or offset:N")
}
