package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Target is a running appliance as its clients see it: started by a Server, or
// already there. Its methods may run concurrently.
type Target struct {
	Ingest string // address of the ingest listener
	Web    string
	Key    func(name string) (string, error) // a standing key: agent or operator
}

// NewTarget finds the listeners of an appliance that runs, by its web address. The key
// must be one that may read and send: an operator's.
func NewTarget(ctx context.Context, base, key string) (*Target, error) {
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" || u.Port() == "" {
		return nil, fmt.Errorf("%q is not the address of an eyrie, as http://127.0.0.1:7680", base)
	}
	t := &Target{Web: u.Host, Key: func(string) (string, error) { return key, nil }}
	st, err := t.Status(ctx)
	if err != nil {
		return nil, err
	}
	for _, l := range st.Listeners {
		if l.Name != "ingest" {
			continue
		}
		if t.Ingest, err = reached(ctx, l.Addr, u.Hostname()); err != nil {
			return nil, err
		}
		return t, nil
	}
	return nil, fmt.Errorf("the eyrie at %s has no ingest listener", u.Host)
}

// reached is the address of a listener as those see it who reach its host by
// that name: an IPv4 one, which load clients need.
func reached(ctx context.Context, listener, host string) (string, error) {
	at, err := netip.ParseAddrPort(listener)
	if err != nil {
		return "", fmt.Errorf("ingest listener: %w", err)
	}
	if !at.Addr().IsUnspecified() && at.Addr().Unmap().Is4() {
		return net.JoinHostPort(at.Addr().Unmap().String(), strconv.Itoa(int(at.Port()))), nil
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", host)
	if err != nil {
		return "", err
	}
	return netip.AddrPortFrom(ips[0].Unmap(), at.Port()).String(), nil
}

func (t *Target) get(ctx context.Context, path string) (code int, body []byte, err error) {
	return t.request(ctx, "GET", path)
}

func (t *Target) request(ctx context.Context, method, path string) (code int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+t.Web+path, nil)
	if err != nil {
		return 0, nil, err
	}
	if key, err := t.Key("operator"); err == nil {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

// Status is what the server tells of itself.
type Status struct {
	Log struct {
		Next  uint64 `json:"next"`
		Bytes uint64 `json:"bytes"`
	} `json:"log"`
	Views []struct {
		Name   string `json:"name"`
		Cursor uint64 `json:"cursor"`
		Lag    uint64 `json:"lag"`
		Aside  uint64 `json:"set_aside"`
		Halted string `json:"halted"`
	} `json:"views"`
	Agents    int `json:"agents"`
	Listeners []struct {
		Name string `json:"name"`
		Addr string `json:"addr"`
	} `json:"listeners"`
}

// Status asks for it.
func (t *Target) Status(ctx context.Context) (st Status, err error) {
	code, b, err := t.get(ctx, "/v1/status")
	if err != nil {
		return st, err
	}
	if code != 200 {
		return st, fmt.Errorf("status: %d %s", code, b)
	}
	return st, json.Unmarshal(b, &st)
}

// Whole is how far a server that has started is with its views, from 0 to 1: with folding
// what came in since they were saved, which comes after reading that.
func (t *Target) Whole(ctx context.Context) (float64, error) {
	_, b, err := t.get(ctx, "/ready") // 503 while it is so
	if err != nil {
		return 0, err
	}
	var r struct {
		Ready   bool `json:"ready"`
		Loading *struct {
			Phase string  `json:"phase"`
			Done  float64 `json:"done"`
		} `json:"loading"`
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return 0, fmt.Errorf("ready: %w: %.200s", err, b)
	}
	if r.Loading != nil && r.Loading.Phase == "fold" {
		return r.Loading.Done, nil
	}
	if r.Ready {
		return 1, nil
	}
	if r.Loading != nil {
		return 0, nil
	}
	st, err := t.Status(ctx)
	if err != nil || st.Log.Next <= 1 {
		return 0, err
	}
	var lag uint64
	for _, v := range st.Views {
		lag = max(lag, v.Lag)
	}
	return 1 - min(1, float64(lag)/float64(st.Log.Next-1)), nil
}

// Applied waits until every view has applied all that was durable at the call.
func (t *Target) Applied(ctx context.Context) error {
	first, err := t.Status(ctx)
	if err != nil {
		return err
	}
	for st := first; ; {
		var lag uint64
		for _, v := range st.Views {
			if v.Halted != "" {
				return fmt.Errorf("view %s is halted: %s", v.Name, v.Halted)
			}
			if v.Aside > 0 {
				return fmt.Errorf("view %s has set %d records aside", v.Name, v.Aside)
			}
			lag = max(lag, first.Log.Next-min(v.Cursor, first.Log.Next))
		}
		if lag == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the views do not catch up: %w", context.Cause(ctx))
		case <-time.After(min(10*time.Millisecond+time.Duration(lag)*2*time.Microsecond, time.Second)):
			// Asking costs the server: not before the views can be there.
		}
		if st, err = t.Status(ctx); err != nil {
			return err
		}
	}
}

// Metrics reads /metrics: the value of each line by name and labels.
func (t *Target) Metrics(ctx context.Context) (map[string]float64, error) {
	code, b, err := t.get(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	if code != 200 {
		return nil, fmt.Errorf("metrics: %d", code)
	}
	out := map[string]float64{}
	for l := range strings.Lines(string(b)) {
		name, v, ok := strings.Cut(strings.TrimSpace(l), " ")
		if x, err := strconv.ParseFloat(v, 64); ok && err == nil {
			out[name] = x
		}
	}
	return out, nil
}

// Profile writes a profile of the server to a file: heap?gc=1, profile?seconds=10, …
func (t *Target) Profile(ctx context.Context, what, path string) error {
	code, b, err := t.get(ctx, "/debug/pprof/"+what)
	if err != nil {
		return err
	}
	if code != 200 {
		return fmt.Errorf("profile: %d %s", code, b)
	}
	if path == "" {
		return nil
	}
	return os.WriteFile(path, b, 0o644)
}
