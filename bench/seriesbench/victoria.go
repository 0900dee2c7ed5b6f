package seriesbench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"eyrie/bench/child"
	"eyrie/bench/host"
)

// Victoria is VictoriaMetrics, a server of its own, fed and asked over HTTP.
type Victoria struct {
	cmd   *exec.Cmd
	base  string
	dir   string
	data  *Data
	hosts int
	http  *http.Client
	empty uint64
	heads [][]byte // of a line, by host: the tags
}

// What VictoriaMetrics is given: lines of the InfluxDB protocol as TSBS' own loader
// sends them, a thousand of ten samples each in a request, over two connections.
const (
	VictoriaLines       = 1_000
	VictoriaConnections = 2
)

// VictoriaSettings are its flags beside data folder and address.
var VictoriaSettings = []string{"-retentionPeriod=100y", "-loggerLevel=ERROR"}

// FindVictoria returns the binary, and what it says it is.
func FindVictoria() (exe, version string, err error) {
	if exe, err = exec.LookPath("victoria-metrics"); err != nil {
		if exe, err = exec.LookPath("/usr/bin/victoria-metrics"); err != nil {
			return "", "", err
		}
	}
	out, err := exec.Command(exe, "-version").CombinedOutput()
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", exe, err)
	}
	if version = strings.TrimSpace(string(out)); version == "" { // as Debian builds it
		out, err = exec.Command("dpkg-query", "-W", "-f=Debian's ${Package} ${Version}", "victoria-metrics").Output()
		if version = string(out); err != nil {
			version = exe + ", of no version that it tells"
		}
	}
	return exe, version, nil
}

// StartVictoria starts cmd, which is the binary without arguments, on addr with a
// folder of its own.
func StartVictoria(ctx context.Context, cmd *exec.Cmd, addr, dir string, d *Data, hosts int) (*Victoria, error) {
	v := &Victoria{cmd: cmd, base: "http://" + addr, dir: dir, data: d, hosts: hosts, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: VictoriaConnections}}}
	cmd.Args = append(append(cmd.Args, "-storageDataPath="+dir, "-httpListenAddr="+addr), VictoriaSettings...)
	cmd.Stderr = os.Stderr
	if err := child.Launch(cmd); err != nil {
		return nil, err
	}
	for {
		_, err := v.get(ctx, "/health", nil)
		if err == nil {
			break
		}
		select {
		case <-ctx.Done():
			v.Close()
			return nil, fmt.Errorf("it does not answer: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	p, err := host.Look(cmd.Process.Pid)
	if err != nil {
		v.Close()
		return nil, err
	}
	v.empty = p.Anon
	return v, nil
}

// lines are the requests for some steps. A series alone in its group of labels has
// one field; those of a TSBS host have ten.
func (v *Victoria) lines(from, to int) (requests [][]byte) {
	group := 1
	if v.hosts > 0 {
		group = len(Metrics)
	}
	if v.heads == nil {
		for i := 0; i < len(v.data.Labels); i += group {
			ls := v.data.Labels[i]
			h := []byte(strings.TrimSuffix(MetricPrefix, "_"))
			if group == 1 {
				h = []byte(ls[1])
			}
			for k := 2; k < len(ls); k += 2 {
				h = append(append(append(append(h, ','), ls[k]...), '='), ls[k+1]...)
			}
			v.heads = append(v.heads, append(h, ' '))
		}
	}
	var b []byte
	n := 0
	for s := from; s < to; s++ {
		row := v.data.Row(s)
		for h, head := range v.heads {
			b = append(b, head...)
			for m := range group {
				if m > 0 {
					b = append(b, ',')
				}
				name := "value"
				if group > 1 {
					name = Metrics[m]
				}
				b = append(append(b, name...), '=')
				b = strconv.AppendFloat(b, row[h*group+m], 'f', -1, 64)
			}
			b = strconv.AppendInt(append(b, ' '), v.data.At(s)*1e6, 10)
			b = append(b, '\n')
			if n++; n == VictoriaLines {
				requests, b, n = append(requests, b), nil, 0
			}
		}
	}
	if n > 0 {
		requests = append(requests, b)
	}
	return requests
}

// Append implements Store. The lines are made before the time is taken.
func (v *Victoria) Append(ctx context.Context, from, to int) (time.Duration, error) {
	requests := make(chan []byte)
	ready := v.lines(from, to)
	began := time.Now()
	errs := make(chan error, VictoriaConnections)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for range VictoriaConnections {
		go func() {
			var failed error
			for b := range requests {
				if failed == nil {
					if failed = v.post(ctx, b); failed != nil {
						cancel()
					}
				}
			}
			errs <- failed
		}()
	}
	for _, b := range ready {
		requests <- b
	}
	close(requests)
	var err error
	for range VictoriaConnections {
		err = errors.Join(err, <-errs)
	}
	return time.Since(began), err
}

func (v *Victoria) post(ctx context.Context, b []byte) error {
	req, err := http.NewRequestWithContext(ctx, "POST", v.base+"/write", bytes.NewReader(b))
	if err != nil {
		return err
	}
	_, err = v.do(req)
	return err
}

func (v *Victoria) get(ctx context.Context, path string, args url.Values) ([]byte, error) {
	if len(args) > 0 {
		path += "?" + args.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, "GET", v.base+path, nil)
	if err != nil {
		return nil, err
	}
	return v.do(req)
}

func (v *Victoria) do(req *http.Request) ([]byte, error) {
	resp, err := v.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s: %d: %.200s", req.URL.Path, resp.StatusCode, b)
	}
	return b, err
}

// CPU implements Store.
func (v *Victoria) CPU() (time.Duration, error) {
	p, err := host.Look(v.cmd.Process.Pid)
	return p.CPU, err
}

// Memory implements Store: resident memory of its own, garbage and caches included.
func (v *Victoria) Memory() (uint64, error) {
	p, err := host.Look(v.cmd.Process.Pid)
	return p.Anon - min(p.Anon, v.empty), err
}

// Flush implements Store: everything is merged as far as it can be.
func (v *Victoria) Flush(ctx context.Context) (d Disk, err error) {
	for _, path := range []string{"/internal/force_flush", "/internal/force_merge"} {
		if _, err := v.get(ctx, path, nil); err != nil {
			return d, err
		}
	}
	// A merge runs behind the answer: it is over when the size stays the same.
	for still, last := 0, uint64(0); still < 5; {
		select {
		case <-ctx.Done():
			return d, context.Cause(ctx)
		case <-time.After(200 * time.Millisecond):
		}
		if d.Bytes, err = v.size(); err != nil {
			return d, err
		}
		if still++; d.Bytes != last {
			still, last = 0, d.Bytes
		}
	}
	return d, nil
}

// size is that of samples and indexes.
func (v *Victoria) size() (uint64, error) {
	data, err := Size(filepath.Join(v.dir, "data"))
	if err != nil {
		return 0, err
	}
	index, err := Size(filepath.Join(v.dir, "indexdb"))
	return data + index, err
}

// result is an answer of Prometheus' API, of one instant or of several.
type result struct {
	Data struct {
		Result []struct {
			Value  [2]any   `json:"value"`
			Values [][2]any `json:"values"`
		} `json:"result"`
	} `json:"data"`
}

// total reads an answer.
func total(b []byte) (a Answer, err error) {
	var r result
	if err := json.Unmarshal(b, &r); err != nil {
		return a, err
	}
	for _, s := range r.Data.Result {
		if s.Values == nil {
			s.Values = [][2]any{s.Value}
		}
		for _, p := range s.Values {
			text, ok := p[1].(string)
			if !ok {
				return a, fmt.Errorf("a value is %v", p[1])
			}
			x, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return a, err
			}
			a.Count++
			a.Sum += x
		}
	}
	return a, nil
}

// Query implements Store; its cache of answers is left out.
func (v *Victoria) Query(ctx context.Context, q Query, first, n int) (a Answer, err error) {
	const metric = MetricPrefix + "usage_user"
	end := v.data.At(v.data.Steps - 1)
	stamp := func(ms int64) string { return strconv.FormatFloat(float64(ms)/1e3, 'f', 3, 64) }
	began := time.Now()
	var b []byte
	for i := range n {
		args, path := url.Values{"nocache": {"1"}}, "/api/v1/query_range"
		switch q {
		case SingleGroupBy:
			args.Set("query", fmt.Sprintf(`max_over_time(%s{hostname=%q}[1m])`, metric, Host((first+i)%v.hosts)))
			args.Set("start", stamp(end-hourMs+minuteMs))
			args.Set("end", stamp(end))
			args.Set("step", "60s")
		case LastPoint:
			path = "/api/v1/query"
			args.Set("query", metric)
			args.Set("time", stamp(end))
		case DoubleGroupBy:
			args.Set("query", fmt.Sprintf(`avg_over_time(%s[1h])`, metric))
			args.Set("start", stamp(v.data.First-v.data.Step+hourMs))
			args.Set("end", stamp(end))
			args.Set("step", "3600s")
		default:
			return a, fmt.Errorf("no query %q", q)
		}
		if b, err = v.get(ctx, path, args); err != nil {
			return a, err
		}
		if a, err = total(b); err != nil {
			return a, err
		}
	}
	a.Took = time.Since(began)
	return a, nil
}

// Close implements Store.
func (v *Victoria) Close() {
	v.http.CloseIdleConnections()
	_ = v.cmd.Process.Kill()
	_ = v.cmd.Wait()
}
