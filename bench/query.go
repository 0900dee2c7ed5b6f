package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"eyrie/bench/host"
	"eyrie/bench/latency"
	"eyrie/bench/load"
	"eyrie/bench/report"
	"eyrie/bench/workload"
)

// Query measures what it takes to look things up in a server that is full, idle
// and under load, and what that costs those who write.
type Query struct {
	Common
	Seed   uint64        // of the workload
	Events int           // that the server is filled with
	Links  int           // that fill it, and as many that load it
	Teams  int           // of agents on each
	Rate   float64       // events a second of the load
	Frame  int           // events a frame of it
	Asks   float64       // requests a second
	For    time.Duration // of each measurement, idle, loaded and loaded without requests
	Each   time.Duration // of one kind of request on its own, for its CPU
}

// QueryEventsMin is how many events it takes for every question to have an answer.
const QueryEventsMin = 20_000

// Run measures and reports.
func (m Query) Run(ctx context.Context) (*report.Report, error) {
	dir, remove, err := m.temp("query")
	if err != nil {
		return nil, err
	}
	defer remove()
	x := &queryRun{Query: m, rep: report.New("query", m.Command, dir), http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}}}
	defer x.http.CloseIdleConnections()
	began, used := host.ReadClock(), selfCPU()
	if x.srv, err = m.serve(ctx, dir, nil); err != nil {
		return nil, err
	}
	defer x.srv.Kill()
	if err := x.fill(ctx); err != nil {
		return nil, fmt.Errorf("fill: %w", err)
	}
	x.settings()
	x.say("letting the server come to rest")
	if err := x.srv.Rest(ctx, x.need()); err != nil {
		return x.rep, err
	}
	if err := x.alone(ctx); err != nil {
		return x.rep, err
	}
	idle, err := x.asking(ctx, "idle")
	if err != nil {
		return x.rep, err
	}
	fleet, err := x.linked(ctx, x.srv, x.clients(x.Links), load.Job{Shape: x.shape(), From: x.Links, To: 2 * x.Links})
	if err != nil {
		return x.rep, err
	}
	defer fleet.Close()
	loaded, err := x.loaded(ctx, fleet)
	if err != nil {
		return x.rep, err
	}
	x.tell(idle, loaded)
	noise := host.Since(began, host.ReadClock(), x.rep.Machine.Cores, selfCPU()-used+host.CPU(append(fleet.Pids(), x.srv.Pid())...))
	x.rep.Noise = &noise
	if len(x.rep.Faults) > 0 {
		return x.rep, fmt.Errorf("the measurement went wrong: %s", x.rep.Faults[0])
	}
	return x.rep, nil
}

// queryRun is one run of Query under way.
type queryRun struct {
	Query
	srv  *Server
	rep  *report.Report
	http *http.Client
	key  string
	asked
	cost map[string]float64 // CPU of the server, ms a request
	wait map[string]float64 // how long one takes with nothing else, ms
	size map[string]float64 // bytes
}

// shape has room for those who fill and those who load, none with an agent of
// another's.
func (x *queryRun) shape() workload.Shape {
	return workload.Shape{Seed: x.Seed, Agents: 2 * x.Links * x.Teams * workload.Team, Connections: 2 * x.Links, Frame: x.Frame}
}

func (x *queryRun) fill(ctx context.Context) error {
	key, err := x.srv.Key("agent")
	if err != nil {
		return err
	}
	if x.key, err = x.srv.Key("operator"); err != nil {
		return err
	}
	var sent atomic.Uint64
	began, done := time.Now(), make(chan error, 1)
	x.hour = began.Add(-time.Hour).UnixMilli()
	go func() {
		var err error
		x.books, err = fill(ctx, x.srv.Ingest, key, x.shape(), x.Links, x.Events, &sent)
		done <- err
	}()
	for filling := true; filling; {
		select {
		case err := <-done:
			if err != nil {
				return err
			}
			filling = false
		case <-time.After(500 * time.Millisecond):
			x.say("filling: %s of %s events", report.Thousands(fmt.Sprint(sent.Load())), report.Thousands(fmt.Sprint(x.Events)))
		}
	}
	if err := within(ctx, appliedMax, x.srv.Applied); err != nil {
		return err
	}
	x.rep.Add("filled", float64(x.Events)/time.Since(began).Seconds(), "events/s", "while the server was filled over a few links, until every view had all of it")
	st, err := x.srv.Status(ctx)
	if err != nil {
		return err
	}
	x.next, x.rng = st.Log.Next, rand.New(rand.NewPCG(x.Seed, uint64(x.Events)))
	if x.some, x.inRuns = x.sampled(200); len(x.some) == 0 || len(x.inRuns) == 0 {
		return fmt.Errorf("%d events are too few: no agent of them has spans and metrics", x.Events)
	}
	return nil
}

func (x *queryRun) settings() {
	x.rep.Set("filled", "%d events of %d agents in %d runs, received within the last hour, all in every view", x.Events, len(x.agents), len(x.runs))
	x.rep.Set("mix", "%s", workload.Mix)
	x.rep.Set("requests", "%g a second on schedule, %d kinds in turn, each over HTTP/1.1 with keep-alive and without compression; latency from when a request was due to the last byte of its answer; 200 agents and runs are asked for at random", x.Asks, len(questions))
	x.rep.Set("judged", "every answer, outside of the time that is measured: its counts, ids and order are held against what was sent; a wrong or empty one is a fault")
	x.rep.Set("load", "%.0f events/s on schedule over %d other links, %d other agents, frames of %d events", x.Rate, x.Links, x.shape().Agents/2, x.Frame)
}

// get asks and returns the body once it is whole.
func (x *queryRun) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+x.srv.Web+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+x.key)
	resp, err := x.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != 200 {
		err = fmt.Errorf("status %d: %.200s", resp.StatusCode, b)
	}
	return b, err
}

// answer asks until the answer is whole: where a search stops at its budget it says
// where to go on. It returns all parts as one, and how many there were.
func (x *queryRun) answer(ctx context.Context, path string) (b []byte, parts int, err error) {
	var all []json.RawMessage
	for at := path; ; {
		if b, err = x.get(ctx, at); err != nil {
			return nil, parts, err
		}
		parts++
		var p struct {
			Items   []json.RawMessage `json:"items"`
			Next    string            `json:"next"`
			Partial bool              `json:"partial"`
		}
		if !bytes.Contains(b, []byte(`"partial":true`)) && parts == 1 {
			return b, parts, nil
		}
		if err := json.Unmarshal(b, &p); err != nil {
			return nil, parts, err
		}
		if all = append(all, p.Items...); !p.Partial || p.Next == "" || len(all) >= pageRows {
			b, err = json.Marshal(map[string]any{"items": all[:min(len(all), pageRows)]})
			return b, parts, err
		}
		at = path + "&after=" + p.Next
	}
}

// need is what is done after the server has come to rest.
func (x *queryRun) need() time.Duration { return time.Duration(len(questions)+4)*x.Each + 3*x.For }

// alone asks each question again and again with nothing beside it: what it costs.
func (x *queryRun) alone(ctx context.Context) error {
	x.cost, x.wait, x.size = map[string]float64{}, map[string]float64{}, map[string]float64{}
	before, err := x.beat(ctx)
	if err != nil {
		return err
	}
	took := map[string]time.Duration{} // of all its askings
	for _, q := range questions {
		x.say("%s, alone", q.name)
		cpu, began, err := x.cpu()
		if err != nil {
			return err
		}
		n, bytes, spent := 0, 0, time.Duration(0)
		for n < aloneMin || time.Since(began) < x.Each {
			path, judge := q.ask(&x.asked)
			at := time.Now()
			b, _, err := x.answer(ctx, path)
			spent += time.Since(at)
			if err == nil {
				err = judge(b)
			}
			if err != nil {
				x.rep.Fault("%s: %s: %v", q.name, path, err)
				return nil
			}
			bytes += len(b)
			n++
		}
		used, now, err := x.cpu()
		if err != nil {
			return err
		}
		took[q.name] = now.Sub(began) / time.Duration(n)
		x.cost[q.name] = ms(used-cpu) / float64(n)
		x.wait[q.name] = ms(spent) / float64(n)
		x.size[q.name] = float64(bytes) / float64(n)
	}
	after, err := x.beat(ctx)
	if err != nil {
		return err
	}
	for name, d := range took {
		x.cost[name] = max(x.cost[name]-min(before, after)*ms(d), 0)
	}
	return nil
}

// beat is what share of a core the server takes by itself.
func (x *queryRun) beat(ctx context.Context) (float64, error) {
	cpu, began, err := x.cpu()
	if err != nil {
		return 0, err
	}
	if err := sleep(ctx, 2*x.Each); err != nil {
		return 0, err
	}
	used, now, err := x.cpu()
	return float64(used-cpu) / float64(now.Sub(began)), err
}

// aloneMin is how often a question is asked at least.
const aloneMin = 5

func (x *queryRun) cpu() (time.Duration, time.Time, error) {
	p, err := host.Look(x.srv.Pid())
	return p.CPU, time.Now(), err
}

// answers is what a measurement of all questions gave.
type answers struct {
	at     string
	mu     sync.Mutex
	took   map[string]*latency.Histogram
	parts  int // answers that came in several
	faults []string
}

func (a *answers) add(name string, d time.Duration, parts int, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if parts > 1 {
		a.parts++
	}
	if err != nil {
		if len(a.faults) < 10 {
			a.faults = append(a.faults, fmt.Sprintf("%s, %s: %v", name, a.at, err))
		}
		return
	}
	h := a.took[name]
	if h == nil {
		h = &latency.Histogram{}
		a.took[name] = h
	}
	h.Add(d)
}

// asking asks all questions on schedule, whatever the answers.
func (x *queryRun) asking(ctx context.Context, at string) (*answers, error) {
	a := &answers{at: at, took: map[string]*latency.Histogram{}}
	var turn []question
	for _, q := range questions {
		for range q.weight {
			turn = append(turn, q)
		}
	}
	x.rng.Shuffle(len(turn), func(i, j int) { turn[i], turn[j] = turn[j], turn[i] })
	var wg sync.WaitGroup
	began := time.Now()
	for i := 0; ; i++ {
		due := began.Add(time.Duration(float64(i) / x.Asks * float64(time.Second)))
		if due.Sub(began) >= x.For {
			break
		}
		if err := sleep(ctx, time.Until(due)); err != nil {
			return nil, err
		}
		if i%50 == 0 {
			x.say("%s: %d requests of %.0f", at, i, x.Asks*x.For.Seconds())
		}
		q := turn[i%len(turn)]
		path, judge := q.ask(&x.asked)
		wg.Go(func() {
			b, parts, err := x.answer(ctx, path)
			took := time.Since(due)
			if err == nil {
				err = judge(b)
			}
			if err != nil {
				err = fmt.Errorf("%s: %w", path, err)
			}
			a.add(q.name, took, parts, err)
		})
	}
	wg.Wait()
	x.rep.Faults = append(x.rep.Faults, a.faults...)
	return a, nil
}

// underLoad is what the writers saw without requests and with them.
type underLoad struct {
	*answers
	without, with *load.Result
}

// loaded asks under load, between two stretches of load without requests.
func (x *queryRun) loaded(ctx context.Context, f *load.Fleet) (u underLoad, err error) {
	x.grows = true
	stretch := func(what string, fn func() error) (r *load.Result, err error) {
		x.say("load %s requests", what)
		if err := f.Run(x.Rate, 0); err != nil {
			return nil, err
		}
		if err := fn(); err != nil {
			return nil, err
		}
		if r, err = stopped(ctx, f); err != nil {
			return nil, err
		}
		faultsOf(x.rep, r)
		deferredOf(x.rep, r)
		return r, nil
	}
	alone := func() error { return sleep(ctx, x.For/3) }
	if _, err = stretch("warming up, without", alone); err != nil { // until its agents are known
		return u, err
	}
	if u.without, err = stretch("without", alone); err != nil {
		return u, err
	}
	u.with, err = stretch("with", func() (err error) {
		u.answers, err = x.asking(ctx, "loaded")
		return err
	})
	if err != nil {
		return u, err
	}
	again, err := stretch("without", alone)
	if err == nil {
		u.without.Latency.Merge(&again.Latency)
	}
	return u, err
}

func (x *queryRun) tell(idle *answers, loaded underLoad) {
	none := &latency.Histogram{}
	of := func(a *answers, name string) *latency.Histogram {
		if h := a.took[name]; h != nil {
			return h
		}
		return none
	}
	for _, q := range questions {
		i, l := of(idle, q.name), of(loaded.answers, q.name)
		add := func(name string, v float64, unit, says string) { x.rep.Add(q.name+": "+name, v, unit, says) }
		add("idle p50", ms(i.Quantile(0.5)), "ms", q.says)
		add("idle p99", ms(i.Quantile(0.99)), "ms", fmt.Sprintf("one request in 100 waits longer; %d were asked beside all other kinds", i.Count()))
		add("idle max", ms(i.Max()), "ms", "the slowest one")
		add("loaded p50", ms(l.Quantile(0.5)), "ms", "the same under load: what a page waits for while the fleet works")
		add("loaded p99", ms(l.Quantile(0.99)), "ms", fmt.Sprintf("one request in 100 waits longer; %d were asked", l.Count()))
		add("loaded max", ms(l.Max()), "ms", "the slowest one")
		add("server cpu", x.cost[q.name], "ms/request", "CPU of the server for one, asked alone and over and over: divide a core by it for the most a second")
		add("alone", x.wait[q.name], "ms", "how long one takes in the mean with nothing beside it")
		add("bytes", x.size[q.name], "B/answer", "of the body, without compression")
	}
	x.rep.Add("answers in parts", float64(idle.parts+loaded.parts), "answers", "searches that stopped at their budget of 2 s and went on where the answer said; their latency is that of all parts")
	x.rep.Add("ack p99 without requests", ms(loaded.without.Latency.Quantile(0.99)), "ms", "of the load alone, before and after the requests")
	x.rep.Add("ack p99 with requests", ms(loaded.with.Latency.Quantile(0.99)), "ms", fmt.Sprintf("of the load while %g requests a second were asked: what readers cost writers", x.Asks))
	x.rep.Add("ack p50 without requests", ms(loaded.without.Latency.Quantile(0.5)), "ms", "of the load alone")
	x.rep.Add("ack p50 with requests", ms(loaded.with.Latency.Quantile(0.5)), "ms", "of the load while it was asked")
}
