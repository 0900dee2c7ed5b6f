package bench

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"eyrie/bench/child"
	"eyrie/bench/host"
	"eyrie/bench/report"
	"eyrie/bench/seriesbench"
	"eyrie/bench/workload"
)

// Series measures the store of time series: alone, in process, beside other
// stores, and through the server.
type Series struct {
	Common
	Child      []string      // arguments that make Exe a process of eyrie's store
	Seed       uint64        // of the data
	Hosts      int           // of TSBS' case cpu-only: ten series each
	Hours      int           // that the samples cover, 10 s apart
	Rounds     int           // the data is taken in so many parts, of each store in turn
	Server     time.Duration // of load on a server; 0 leaves it out
	NAB        string        // folder of real series
	Prometheus string        // folder of the module bench/peers/prometheus
	Only       []string      // peers to measure beside eyrie: prometheus, victoriametrics; none means all
}

// ServeSeries is the life of a process of eyrie's store: see seriesbench.Serve.
func ServeSeries(in io.Reader, out io.Writer) error { return seriesbench.Serve(in, out, selfCPU) }

// nabCopies is how often each real series is there, so that what a store takes once
// does not count.
const nabCopies = 50

// seriesStore is one of those compared.
type seriesStore struct {
	seriesbench.Store
	name   string
	fresh  float64   // series a second at their first sight
	rates  []float64 // samples a second, by round
	perS   []float64 // samples per second of CPU
	used   time.Duration
	waits  map[seriesbench.Query][]float64 // ms, by round
	memory uint64
}

// seriesRun is one run of Series under way.
type seriesRun struct {
	Series
	dir     string
	rep     *report.Report
	adapter string // Prometheus', built; "" where it is not there
	victory string // VictoriaMetrics'
}

// Run measures and reports.
func (m Series) Run(ctx context.Context) (*report.Report, error) {
	dir, remove, err := m.temp("series")
	if err != nil {
		return nil, err
	}
	defer remove()
	x := &seriesRun{Series: m, dir: dir, rep: report.New("series", m.Command, dir)}
	began, used := host.ReadClock(), selfCPU()
	x.find(ctx)
	d := seriesbench.TSBS(m.Seed, m.Hosts, m.Hours*360, time.Now().UnixMilli())
	x.rep.Set("data", "%d hosts with ten metrics each, as of TSBS' case cpu-only: %d series with ten tags, whole numbers of 0 to 100 in a random walk, a sample each 10 s for %d h, %s samples, seed %d",
		m.Hosts, len(d.Labels), m.Hours, report.Thousands(fmt.Sprint(len(d.Values))), m.Seed)
	x.rep.Set("method", "%d rounds; in each, every store takes the next part of the same data in a new random order of stores, and is asked likewise afterwards; ratios are of pairs within a round, 95 %% intervals by Student's t on their logarithms; CPU is that of the store's process until its next turn, with what it put off", m.Rounds)
	if err := x.compare(ctx, d); err != nil {
		return x.rep, err
	}
	if err := x.real(ctx); err != nil {
		return x.rep, fmt.Errorf("nab: %w", err)
	}
	if m.Server > 0 {
		if err := x.server(ctx); err != nil {
			return x.rep, fmt.Errorf("server: %w", err)
		}
	}
	noise := host.Since(began, host.ReadClock(), x.rep.Machine.Cores, selfCPU()-used)
	x.rep.Noise = &noise
	if len(x.rep.Faults) > 0 {
		return x.rep, fmt.Errorf("the measurement went wrong: %s", x.rep.Faults[0])
	}
	return x.rep, nil
}

// find looks for the peers, and says who is left out.
func (x *seriesRun) find(ctx context.Context) {
	x.rep.Set("eyrie", "tsdb in a process of its own on a store as the server opens it, one thread appends by the series' number and saves what is closed at the end of each part; it has no log of its own: in the server the log is durable before, and fills what was not saved again")
	wanted := func(name string) bool { return len(x.Only) == 0 || slices.Contains(x.Only, name) }
	if exe := filepath.Join(x.dir, "prometheus"); !wanted("prometheus") {
		x.rep.Set("prometheus", "left out: not asked for")
	} else if err := x.build(ctx, exe); err != nil {
		x.rep.Set("prometheus", "left out: %v", firstLine(err))
	} else {
		x.adapter = exe
		x.rep.Set("prometheus", "github.com/prometheus/prometheus/tsdb as in %s, in a process of its own with its default options; one thread appends by the series' reference, 10,000 samples a commit; its write-ahead log is on, not compressed, and not synced at a commit", filepath.Join(x.Prometheus, "go.mod"))
	}
	if !wanted("victoriametrics") {
		x.rep.Set("victoriametrics", "left out: not asked for")
	} else if exe, version, err := seriesbench.FindVictoria(); err != nil {
		x.rep.Set("victoriametrics", "left out: %v", err)
	} else {
		x.victory = exe
		x.rep.Set("victoriametrics", "%s, %s, else its defaults; lines of the InfluxDB protocol over HTTP as TSBS' loader for it sends them, %d lines of ten samples a request, %d connections; making the lines is not counted, reading them is; it has no write-ahead log: what came in the last seconds is in memory alone",
			version, strings.Join(seriesbench.VictoriaSettings, " "), seriesbench.VictoriaLines, seriesbench.VictoriaConnections)
	}
}

func (x *seriesRun) build(ctx context.Context, exe string) error {
	x.say("building Prometheus' tsdb; the first time takes minutes")
	return buildAdapter(ctx, x.Prometheus, exe)
}

func firstLine(err error) string {
	s, _, _ := strings.Cut(err.Error(), "\n")
	return s
}

// stores starts those that are there, eyrie's first, for the data of a file. hosts
// is 0 where it is not of hosts.
func (x *seriesRun) stores(ctx context.Context, name string, d *seriesbench.Data, hosts int) (out []*seriesStore, err error) {
	file := filepath.Join(x.dir, name+".data")
	if err := d.Write(file); err != nil {
		return nil, err
	}
	add := func(kind string, s seriesbench.Store) {
		out = append(out, &seriesStore{Store: s, name: kind, waits: map[seriesbench.Query][]float64{}})
	}
	own, err := seriesbench.StartChild(child.Command(ctx, x.Exe, x.Child), filepath.Join(x.dir, name+"-eyrie"), file, hosts)
	if err != nil {
		return out, fmt.Errorf("eyrie: %w", err)
	}
	add("eyrie", own)
	if x.adapter != "" {
		p, err := seriesbench.StartChild(child.Command(ctx, x.adapter, nil), filepath.Join(x.dir, name+"-prometheus"), file, hosts)
		if err != nil {
			return out, fmt.Errorf("prometheus: %w", err)
		}
		add("prometheus", p)
	}
	if x.victory != "" {
		addr, err := freeAddr()
		if err != nil {
			return out, err
		}
		up, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		v, err := seriesbench.StartVictoria(up, child.Command(ctx, x.victory, nil), addr, filepath.Join(x.dir, name+"-victoria"), d, hosts)
		if err != nil {
			return out, fmt.Errorf("victoriametrics: %w", err)
		}
		add("victoriametrics", v)
	}
	return out, nil
}

func closeStores(all []*seriesStore) {
	for _, s := range all {
		s.Close()
	}
}

// compare measures appending, memory, bytes and queries of every store.
func (x *seriesRun) compare(ctx context.Context, d *seriesbench.Data) error {
	all, err := x.stores(ctx, "tsbs", d, x.Hosts)
	defer closeStores(all)
	if err != nil {
		return err
	}
	for _, s := range all { // first sights are not what the rounds are about
		took, err := s.Append(ctx, 0, 1)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if s.used, err = s.CPU(); err != nil {
			return err
		}
		s.fresh = float64(len(d.Labels)) / took.Seconds()
	}
	for r := range x.Rounds {
		from, to := 1+(d.Steps-1)*r/x.Rounds, 1+(d.Steps-1)*(r+1)/x.Rounds
		for _, i := range rand.Perm(len(all)) {
			x.say("round %d of %d: %s takes %s samples", r+1, x.Rounds, all[i].name, report.Thousands(fmt.Sprint((to-from)*len(d.Labels))))
			if err := all[i].take(ctx, from, to, len(d.Labels)); err != nil {
				return fmt.Errorf("%s: %w", all[i].name, err)
			}
		}
	}
	for _, s := range all {
		if s.memory, err = s.Memory(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	disks, err := x.flush(ctx, all)
	if err != nil {
		return err
	}
	if err := x.ask(ctx, all); err != nil {
		return err
	}
	x.tell(all, disks, d)
	return nil
}

// take is a store's turn in a round.
func (s *seriesStore) take(ctx context.Context, from, to, series int) error {
	took, err := s.Append(ctx, from, to)
	if err != nil {
		return err
	}
	used, err := s.CPU()
	if err != nil {
		return err
	}
	n := float64(to-from) * float64(series)
	s.rates = append(s.rates, n/took.Seconds())
	s.perS = append(s.perS, n/max(used-s.used, time.Millisecond).Seconds())
	s.used = used
	return nil
}

func (x *seriesRun) flush(ctx context.Context, all []*seriesStore) (out []seriesbench.Disk, err error) {
	for _, s := range all {
		x.say("%s brings everything to the disk", s.name)
		var d seriesbench.Disk
		if err := within(ctx, time.Minute, func(ctx context.Context) (err error) {
			d, err = s.Flush(ctx)
			return err
		}); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		out = append(out, d)
	}
	return out, nil
}

// seriesQueries are the questions, and how often each is asked in a round.
var seriesQueries = []struct {
	q    seriesbench.Query
	n    int
	says string
}{
	{seriesbench.SingleGroupBy, 50, "one metric of one host: the greatest of each minute of an hour"},
	{seriesbench.LastPoint, 5, "one metric: the newest sample of every host"},
	{seriesbench.DoubleGroupBy, 2, "one metric: the mean of each hour of every host"},
}

// ask asks every store the same; answers that differ are a fault.
func (x *seriesRun) ask(ctx context.Context, all []*seriesStore) error {
	for r := range x.Rounds {
		for _, q := range seriesQueries {
			var first seriesbench.Answer
			for at, i := range append([]int{0}, shuffledFrom1(len(all))...) {
				s := all[i]
				x.say("round %d of %d: %s, %s", r+1, x.Rounds, q.q, s.name)
				a, err := s.Query(ctx, q.q, r*q.n, q.n)
				if err != nil {
					return fmt.Errorf("%s: %s: %w", s.name, q.q, err)
				}
				s.waits[q.q] = append(s.waits[q.q], ms(a.Took)/float64(q.n))
				if at == 0 {
					first = a
				}
				if !sameAnswer(first, a) {
					x.rep.Fault("%s: %s found %d values of %g in sum, %s %d of %g", q.q, all[0].name, first.Count, first.Sum, s.name, a.Count, a.Sum)
				}
			}
		}
	}
	return nil
}

// sameAnswer allows sums their rounding.
func sameAnswer(a, b seriesbench.Answer) bool {
	d := a.Sum - b.Sum
	return a.Count == b.Count && a.Count > 0 && max(d, -d) <= 1e-9*max(a.Sum, 1)
}

// shuffledFrom1 are the numbers from 1 to below n.
func shuffledFrom1(n int) []int {
	p := rand.Perm(n - 1)
	for i := range p {
		p[i]++
	}
	return p
}

// tell reports; eyrie is the first.
func (x *seriesRun) tell(all []*seriesStore, disks []seriesbench.Disk, d *seriesbench.Data) {
	for i, s := range all {
		x.rep.Add(s.name+": new series", s.fresh, "series/s", "seen for the first time, with a sample each: how soon a fleet that comes up is there")
		x.rep.AddRounds(s.name+": samples", s.rates, "samples/s", "taken, as each store takes them: see the settings for what is durable then")
		x.rep.AddRounds(s.name+": samples per cpu", s.perS, "samples/cpu-s", "taken for each second of CPU of the store, merging and saving included: multiply by the cores you give it")
		says := "of samples and index on the disk, once all is flushed and merged: multiply by samples to keep"
		if disks[i].WAL > 0 {
			says += fmt.Sprintf("; its write-ahead log beside them held %.2f B/sample until then", float64(disks[i].WAL)/float64(len(d.Values)))
		}
		x.rep.Add(s.name+": bytes", float64(disks[i].Bytes)/float64(len(d.Values)), "B/sample", says)
		says = "live in Go's heap for each series after all samples, labels and index included: multiply by the series you expect"
		switch s.name {
		case "eyrie":
			says += "; its store's write buffers and cache, which are bounded whatever the series, are not"
		case "victoriametrics":
			says = "resident memory of its own for each series, caches and garbage included, as it has no other measure"
		}
		x.rep.Add(s.name+": memory", float64(s.memory)/float64(len(d.Labels)), "B/series", says)
		for _, q := range seriesQueries {
			how := "; over the API in process, aggregated by hand"
			if s.name == "victoriametrics" {
				how = "; over HTTP, its cache of answers left out"
			}
			x.rep.AddRounds(s.name+": "+string(q.q), s.waits[q.q], "ms", q.says+how)
		}
	}
	for _, s := range all[1:] {
		x.rep.AddRatio("eyrie/"+s.name+": samples", all[0].rates, s.rates, "of samples a second")
		x.rep.AddRatio("eyrie/"+s.name+": samples per cpu", all[0].perS, s.perS, "of samples per second of CPU")
		for _, q := range seriesQueries {
			x.rep.AddRatio(s.name+"/eyrie: "+string(q.q), s.waits[q.q], all[0].waits[q.q], "of the time of a query: how many times as long the other takes")
		}
	}
	var lines []report.Line
	for _, s := range all {
		l := report.Line{Name: s.name}
		for r, v := range s.rates {
			l.Points = append(l.Points, [2]float64{float64((r + 1) * len(d.Values) / x.Rounds / len(d.Labels)), v})
		}
		lines = append(lines, l)
	}
	x.rep.Curves = append(x.rep.Curves, report.Curve{Title: "Samples taken", Says: "A line that stays level says that a store takes as much when it is full as when it was empty.",
		X: report.Axis{Name: "samples in each series", Unit: "samples"}, Y: report.Axis{Name: "rate", Unit: "samples/s", Log: true}, Lines: lines})
}

// real measures the bytes of real series.
func (x *seriesRun) real(ctx context.Context) error {
	d, err := seriesbench.NAB(x.NAB, nabCopies, time.Now().UnixMilli())
	if err != nil {
		x.rep.Set("nab", "left out: %v", err)
		return nil
	}
	x.rep.Set("nab", "%d real series of the Numenta Anomaly Benchmark (MIT) in %s, %d samples of each, each %d times; their values are as they were, their instants 10 s apart", len(d.Labels)/nabCopies, x.NAB, d.Steps, nabCopies)
	all, err := x.stores(ctx, "nab", d, 0)
	defer closeStores(all)
	if err != nil {
		return err
	}
	for _, s := range all {
		x.say("real series: %s", s.name)
		for from := 0; from < d.Steps; from += nabPart {
			if _, err := s.Append(ctx, from, min(from+nabPart, d.Steps)); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	disks, err := x.flush(ctx, all)
	if err != nil {
		return err
	}
	for i, s := range all {
		x.rep.Add(s.name+": bytes of nab", float64(disks[i].Bytes)/float64(len(d.Values)), "B/sample", "the same of real series, whose values have more digits: nearer to what agents' own gauges take")
	}
	return nil
}

// nabPart is how many steps are taken at once: an hour of them.
const nabPart = 360

// server measures the same kind of data as events over links, with log and all views.
func (x *seriesRun) server(ctx context.Context) error {
	const metrics = 10
	in := Ingest{Common: x.Common, Window: 2, For: x.Server, Shape: workload.Shape{
		Seed: x.Seed, Agents: x.Hosts, Connections: min(100, x.Hosts), Frame: 100, Events: workload.Telemetry, Metrics: metrics,
	}}
	r, err := in.Run(ctx)
	if r == nil {
		return err
	}
	x.rep.Faults = append(x.rep.Faults, r.Faults...)
	if err != nil {
		return err
	}
	x.rep.Set("server", "eyrie serve with defaults, %d agents that send an event with ten metrics in turn, frames of %d, %d connections, closed-loop for %v; every event is synced before its ack and folded into all views", in.Shape.Agents, in.Shape.Frame, in.Shape.Connections, x.Server)
	per := func(name, of, unit, says string, scale float64) {
		if v, ok := r.Figure(of); ok {
			x.rep.Add("server: "+name, v*scale, unit, says)
		}
	}
	per("samples", figureViewed, "samples/s", "durable, acknowledged and in every view, as events of ten metrics: what to plan with", metrics)
	per("cpu", "server cpu", "µs/sample", "CPU of the whole server for a sample: link, log and all views", 1.0/metrics)
	per("log", "log", "B/sample", "growth of the log's files before they are sealed", 1.0/metrics)
	per("device", "device", "B/sample", "written to the disk for log and views together", 1.0/metrics)
	per("rss", "server rss", "MiB", "resident memory of the server", 1)
	if own, ok := x.rep.Figure("eyrie: samples per cpu"); ok {
		if c, ok := r.Figure("server cpu"); ok && c > 0 {
			x.rep.Add("server: of the store", 100*(1e6/own)/(c/metrics), "%", "of the server's CPU for a sample is the store's of series; the rest is links, log and the other views")
		}
	}
	return nil
}
