package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"eyrie/bench/report"
)

// restarts kills the server at full load, when most is unflushed, and measures how
// long it takes to accept the first event again, and once until every view is loaded and
// caught up.
func (x *sustainRun) restarts(ctx context.Context) error {
	var accepts, ready []float64
	var records float64
	var unflushed int64
	defer func() { // what there is, where the time ends before the last of them
		if len(accepts) > 0 {
			x.rep.AddRounds(figureAccepted, accepts, "s", fmt.Sprintf("from the start of the process, after kill -9 at full load, to the first event stored and acknowledged: agents wait this long and send again. The log had %s records in the end; its write-ahead files, which hold what is in no table yet, had %d MiB at most", report.Number(records), unflushed>>20))
		}
		if len(ready) > 0 {
			x.rep.AddRounds(figureLoaded, ready, "s", "after the first of these kills to ready, every view loaded and caught up: for so long people are told to wait")
		}
	}()
	sh := x.Sustain.Shape
	for i := range x.Kills {
		if err := x.open(ctx, x.Sustain.Shape); err != nil {
			return err
		}
		x.say("restart %d of %d", i+1, x.Kills)
		if err := x.fleet.Run(0, max(1, flightEvents/(sh.Connections*sh.Frame))); err != nil {
			return err
		}
		if err := sleep(ctx, cmp.Or(x.Life, restartAfter)); err != nil {
			return err
		}
		m, err := x.srv.Metrics(ctx)
		if err != nil {
			return err
		}
		x.srv.Kill()
		logs, err := filepath.Glob(filepath.Join(x.srv.Data, "log", "store", "*.log"))
		if err != nil {
			return err
		}
		var wal int64
		for _, name := range logs {
			n, err := sizeOf(name)
			if err != nil {
				return err
			}
			wal += n
		}
		records, unflushed = m[meterNext]-1, max(unflushed, wal)
		x.fleet.Close()
		x.fleet = nil
		at := time.Now()
		if err := x.srv.Start(); err != nil {
			return err
		}
		if err := within(ctx, readyMax, x.accepts); err != nil {
			return err
		}
		accepts = append(accepts, time.Since(at).Seconds())
		if i > 0 {
			continue // the views have more to fold with each kill, and it takes them long enough once
		}
		whole, err := x.loaded(ctx, at, time.Duration(x.Kills-1)*(cmp.Or(x.Life, restartAfter)+needAccept))
		if err != nil {
			return err
		}
		if whole {
			ready = append(ready, time.Since(at).Seconds())
		}
	}
	return nil
}

// loaded waits until every view is loaded and caught up since the start at an instant,
// and keeps some of the time for what comes after; where there is no more, it says how
// far they are.
func (x *sustainRun) loaded(ctx context.Context, at time.Time, after time.Duration) (whole bool, err error) {
	wait, done := keep(ctx, after+toldIn)
	defer done()
	err = within(wait, readyMax, x.srv.Ready)
	if err == nil || ctx.Err() != nil || wait.Err() == nil {
		return err == nil, err
	}
	share, err := x.srv.Whole(ctx)
	if err != nil {
		return false, err
	}
	x.rep.Unfinish("%s: views not whole after %.0f s: %.0f %%", phaseRestarts, time.Since(at).Seconds(), 100*share)
	return false, nil
}

// accepts waits until the server takes an event.
func (x *sustainRun) accepts(ctx context.Context) error {
	key, err := x.srv.Key("agent")
	if err != nil {
		return err
	}
	for {
		code, err := x.postOne(ctx, key)
		if err == nil && code == http.StatusOK {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the server accepts no event: %d, %w", code, errors.Join(err, context.Cause(ctx)))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// postOne sends one event and returns the status code.
func (x *sustainRun) postOne(ctx context.Context, key string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, "POST", "http://"+x.srv.Ingest+"/v1/events", strings.NewReader(`{"events":[{"type":"message","agent":"bench","msg":"back?"}]}`))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// restartAfter is how long the load runs before a kill, unless told.
const restartAfter = 5 * time.Second
