package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"eyrie/bench/host"
	"eyrie/bench/load"
	"eyrie/bench/oracle"
	"eyrie/bench/report"
	"eyrie/bench/workload"
	"eyrie/wal"
)

// Overload offers more than the server takes for a while, with a few well
// behaved links of CRITICAL events beside it, and holds the books of all
// senders against the log.
type Overload struct {
	Common
	Shape     workload.Shape
	Times     float64       // of the capacity found
	For       time.Duration // the overload
	Calibrate time.Duration // the search for the capacity
	Critical  int           // links that send CRITICAL events
	Rate      float64       // of each of these, events/s
	Profile   string        // folder to leave profiles of the server in
}

// What the criterion asks for.
const (
	keptMin     = 0.90
	criticalMax = 250 * time.Millisecond
	// flatMax is how much the resident memory may grow over the second half,
	// as a share of what it was at the middle.
	flatMax = 0.05
)

// framesOfALink is how many frames each link has in advance: as many as make
// their events differ, few enough to keep the client small.
const framesOfALink = 8

// calibrationWindow is how many frames a link has in flight when the capacity
// is looked for.
const calibrationWindow = 2

// Run measures, reconciles and reports.
func (m Overload) Run(ctx context.Context) (*report.Report, error) {
	dir, remove, err := m.temp("overload")
	if err != nil {
		return nil, err
	}
	defer remove()
	srv, err := m.serve(ctx, dir, nil)
	if err != nil {
		return nil, err
	}
	defer srv.Kill()
	x := &overloadRun{Overload: m, srv: srv, rep: report.New("overload", m.Command, dir), quiet: m.Shape}
	x.quiet.Seed, x.quiet.Connections, x.quiet.Agents, x.quiet.Frame = m.Shape.Seed+1, m.Critical, m.Critical, 1
	if err := x.connect(ctx); err != nil {
		return nil, err
	}
	defer x.flood.Close()
	defer x.calm.Close()
	x.rep.Set("load", "%d connections, %d agents, frames of %d events made in advance, MessagePack, seed %d; a quarter each allows no class to be shed, allows all, allows low, allows none and gives numbers up", m.Shape.Connections, m.Shape.Agents, m.Shape.Frame, m.Shape.Seed)
	x.rep.Set("critical", "%d other links with %.0f CRITICAL events/s each, from a client process of their own", m.Critical, m.Rate)
	x.rep.Set("server", "eyrie serve with defaults on a fresh folder, all views on; the load client is held to one core if there are two")
	if err := x.calibrate(ctx); err != nil {
		return nil, err
	}
	if err := x.overload(ctx); err != nil {
		return nil, err
	}
	if err := x.reconcile(ctx, filepath.Join(dir, "data", "log")); err != nil {
		return nil, err
	}
	if len(x.rep.Faults) > 0 {
		return x.rep, fmt.Errorf("the server did not stand the overload: %s", x.rep.Faults[0])
	}
	return x.rep, nil
}

type overloadRun struct {
	Overload
	srv      *Server
	rep      *report.Report
	quiet    workload.Shape
	flood    *load.Fleet
	calm     *load.Fleet
	capacity float64 // stored events/s
	first    *load.Result
	second   *load.Result
	critical *load.Result
}

func (x *overloadRun) connect(ctx context.Context) (err error) {
	core := 0
	if x.rep.Machine.Cores > 1 {
		core = x.rep.Machine.Cores
	}
	x.say("connecting %d links", x.Shape.Connections+x.Critical)
	if x.flood, err = x.linked(ctx, x.srv, x.clients(x.Shape.Connections), load.Job{Shape: x.Shape, Encoded: framesOfALink, Core: core}); err != nil {
		return err
	}
	if x.calm, err = x.linked(ctx, x.srv, 1, load.Job{Shape: x.quiet, Encoded: 1, Critical: true}); err != nil {
		x.flood.Close()
	}
	return err
}

// stored is how many events the log was given up to now.
func (x *overloadRun) stored(ctx context.Context) (float64, map[string]float64, error) {
	ms, err := x.srv.Metrics(ctx)
	return ms[`eyrie_intake_events_total{verdict="stored"}`], ms, err
}

// calibrate finds what the server stores at most, in a closed loop.
func (x *overloadRun) calibrate(ctx context.Context) error {
	if err := x.flood.Run(0, calibrationWindow); err != nil {
		return err
	}
	if err := sleep(ctx, x.Calibrate/4); err != nil { // first sights are not what is measured
		return err
	}
	began := time.Now()
	before, _, err := x.stored(ctx)
	if err != nil {
		return err
	}
	if err := sleep(ctx, x.Calibrate); err != nil {
		return err
	}
	after, _, err := x.stored(ctx)
	if err != nil {
		return err
	}
	x.capacity = (after - before) / time.Since(began).Seconds()
	if x.first, err = stopped(ctx, x.flood); err != nil {
		return err
	}
	x.rep.Faults = append(x.rep.Faults, x.first.Errors...)
	x.rep.Add("capacity", x.capacity, "events/s", fmt.Sprintf("stored in a closed loop of %d frames on each link, over %.0f s", calibrationWindow, x.Calibrate.Seconds()))
	return nil
}

// look is one second of the overload.
type look struct {
	at  float64
	rss float64
}

func (x *overloadRun) overload(ctx context.Context) error {
	if err := x.flood.Run(x.capacity*x.Times, 0); err != nil {
		return err
	}
	if err := x.calm.Run(x.Rate*float64(x.Critical), 0); err != nil {
		return err
	}
	profiled := make(chan error, 1)
	go func() {
		if x.Profile == "" {
			profiled <- nil
			return
		}
		profiled <- x.srv.Profile(ctx, fmt.Sprintf("profile?seconds=%d", max(1, int(x.For.Seconds())-2)), filepath.Join(x.Profile, "overload-cpu.pprof"))
	}()
	began := time.Now()
	server, err := host.Look(x.srv.Pid())
	if err != nil {
		return err
	}
	client, clock := host.CPU(x.flood.Pids()...), host.ReadClock()
	stored, start, err := x.stored(ctx)
	if err != nil {
		return err
	}
	var looks []look
	for time.Since(began) < x.For {
		if err := sleep(ctx, min(time.Second, x.For-time.Since(began))); err != nil {
			return err
		}
		p, err := host.Look(x.srv.Pid())
		if err != nil {
			return err
		}
		looks = append(looks, look{time.Since(began).Seconds(), float64(p.RSS) / (1 << 20)})
		if _, err := x.flood.Events(); err != nil {
			return err
		}
		if _, err := x.calm.Events(); err != nil {
			return err
		}
		x.say("overload: %3.0f s, %.0f MiB resident", time.Since(began).Seconds(), looks[len(looks)-1].rss)
	}
	took := time.Since(began).Seconds()
	now, meters, err := x.stored(ctx)
	if err != nil {
		return err
	}
	after, err := host.Look(x.srv.Pid())
	if err != nil {
		return err
	}
	clientCPU, serverCPU := host.CPU(x.flood.Pids()...)-client, after.CPU-server.CPU
	noise := host.Since(clock, host.ReadClock(), x.rep.Machine.Cores, serverCPU+clientCPU)
	x.rep.Noise = &noise
	if x.second, err = stopped(ctx, x.flood); err != nil {
		return err
	}
	if x.critical, err = stopped(ctx, x.calm); err != nil {
		return err
	}
	if err := <-profiled; err != nil {
		return err
	}
	x.rep.Faults = append(append(x.rep.Faults, x.second.Errors...), x.critical.Errors...)
	rate := (now - stored) / took
	r, lat, add := x.second, &x.critical.Latency, x.rep.Add
	add("offered", float64(r.Offered)/took, "events/s", fmt.Sprintf("for %.0f s, %.1f times the capacity, whatever the server took", took, float64(r.Offered)/took/x.capacity))
	add("stored", rate, "events/s", fmt.Sprintf("durable: %.0f %% of the capacity", 100*rate/x.capacity))
	add("settled", float64(r.Events)/time.Duration(r.LastAck-r.FirstSend).Seconds(), "events/s", "acknowledged to the overloading links, refused and shed ones included")
	add("client cpu", clientCPU.Seconds()/took, "cores", "of the load client, held to one core")
	add("server cpu", serverCPU.Seconds()/took, "cores", "of the server")
	add("critical", float64(x.critical.Events)/took, "events/s", "CRITICAL, acknowledged, of the links that do not overload")
	add("critical p50", ms(lat.Quantile(0.5)), "ms", "from when an event was due to its acknowledgement, after the sync")
	add("critical p99", ms(lat.Quantile(0.99)), "ms", "one in 100 waits longer")
	add("critical p99.9", ms(lat.Quantile(0.999)), "ms", fmt.Sprintf("one in 1,000 waits longer; the slowest %.0f ms", ms(lat.Max())))
	x.memory(looks)
	add("slowed", float64(r.Slow), "times", "links were asked to slow down")
	pauses := 0.0
	for name, v := range meters {
		if len(name) > 29 && name[:29] == "eyrie_engine_ring_full_pauses" {
			pauses += v
		}
	}
	add("pauses", pauses, "times", "links waited for the ring")
	mean := func(name string) float64 {
		return (meters[name+"_sum"] - start[name+"_sum"]) / max(meters[name+"_count"]-start[name+"_count"], 1)
	}
	add("commit", mean("eyrie_wal_commit_records"), "records", fmt.Sprintf("in the mean; encoded in %.1f ms, synced in %.1f ms, marked in %.1f ms", 1e3*mean("eyrie_wal_encode_seconds"), 1e3*mean("eyrie_wal_sync_seconds"), 1e3*mean("eyrie_wal_mark_seconds")))
	if rate < keptMin*x.capacity {
		x.rep.Faults = append(x.rep.Faults, fmt.Sprintf("%.0f events/s stored under overload, %.0f without: less than %.0f %%", rate, x.capacity, 100*keptMin))
	}
	if p := lat.Quantile(0.99); p > criticalMax {
		x.rep.Faults = append(x.rep.Faults, fmt.Sprintf("p99 of CRITICAL events is %.0f ms, more than %.0f", ms(p), ms(criticalMax)))
	}
	return nil
}

// memory judges the resident memory over time.
func (x *overloadRun) memory(looks []look) {
	if len(looks) == 0 {
		return
	}
	late := looks[len(looks)/2:]
	most := 0.0
	for _, l := range looks {
		most = max(most, l.rss)
	}
	var st, sr, stt, str float64
	for _, l := range late {
		st, sr, stt, str = st+l.at, sr+l.rss, stt+l.at*l.at, str+l.at*l.rss
	}
	n, slope := float64(len(late)), 0.0
	if d := n*stt - st*st; d > 0 {
		slope = (n*str - st*sr) / d
	}
	add := x.rep.Add
	add("rss start", looks[0].rss, "MiB", "resident memory of the server after the first second")
	add("rss max", most, "MiB", "the most of all seconds")
	add("rss slope", slope*60, "MiB/min", "of the second half, by least squares")
	if grown := slope * (late[len(late)-1].at - late[0].at); grown > flatMax*late[0].rss {
		x.rep.Faults = append(x.rep.Faults, fmt.Sprintf("resident memory grew by %.0f MiB over the second half", grown))
	}
}

// reconcile ends the server and holds what each sender says against the log.
func (x *overloadRun) reconcile(ctx context.Context, dir string) error {
	if err := x.srv.Stop(); err != nil {
		return err
	}
	log, err := wal.Open(wal.Options{Dir: dir})
	if err != nil {
		return fmt.Errorf("the log does not open: %w", err)
	}
	defer log.Close()
	x.say("reading the log: %s records", report.Thousands(fmt.Sprint(log.Next()-1)))
	producers := map[[16]byte]int{}
	for c := range x.Shape.Connections {
		producers[x.Shape.Producer(c)] = c
	}
	for c := range x.quiet.Connections {
		producers[x.quiet.Producer(c)] = x.Shape.Connections + c
	}
	all, err := oracle.Accounts(ctx, log, producers)
	if err != nil {
		return err
	}
	var sum oracle.Account
	var sent, waiting, unsettled uint64
	wrong := 0
	check := func(base int, books []load.Book) {
		for _, b := range books {
			a := all[base+b.Conn]
			sent, waiting = sent+b.Sent, waiting+b.Waiting
			sum.Stored, sum.Refused, sum.Lost, sum.Torn = sum.Stored+a.Stored, sum.Refused+a.Refused, sum.Lost+a.Lost, sum.Torn+a.Torn
			for i := range a.Shed {
				sum.Shed[i] += a.Shed[i]
			}
			unsettled += b.Sent - min(a.Settled(), b.Sent)
			why := ""
			switch {
			case a.Torn > 0:
				why = "numbers settled twice, or out of order"
			case a.Settled() != a.Next-1:
				why = fmt.Sprintf("%d records for %d numbers", a.Settled(), a.Next-1)
			case b.Acked > a.Next-1:
				why = fmt.Sprintf("%d acknowledged, the log ends at %d", b.Acked, a.Next-1)
			case a.Next-1 > b.Sent:
				why = fmt.Sprintf("the log ends at %d, %d were sent", a.Next-1, b.Sent)
			case a.Refused != b.Refused:
				why = fmt.Sprintf("%d refused, %d told", a.Refused, b.Refused)
			case a.ShedAll() != b.Shed:
				why = fmt.Sprintf("%d shed, %d told", a.ShedAll(), b.Shed)
			case a.Lost != b.Lost:
				why = fmt.Sprintf("%d given up, the log has %d", b.Lost, a.Lost)
			default:
				continue
			}
			if wrong++; wrong <= 10 {
				x.rep.Faults = append(x.rep.Faults, fmt.Sprintf("books: connection %d: %s", base+b.Conn, why))
			}
		}
	}
	check(0, x.second.Books)
	check(x.Shape.Connections, x.critical.Books)
	offered := sent + waiting
	add := x.rep.Add
	add("books: offered", float64(offered), "events", "by all links together, the calibration included")
	add("books: stored", float64(sum.Stored), "events", "in the log")
	add("books: refused", float64(sum.Refused), "events", "in the log as refused, and told so")
	add("books: shed", float64(sum.ShedAll()), "events", fmt.Sprintf("in the log as shed, and told so: %d low, %d normal, %d high", sum.Shed[1], sum.Shed[2], sum.Shed[3]))
	add("books: lost", float64(sum.Lost), "events", "given up by their senders, and in the log as such")
	add("books: held", float64(waiting+unsettled), "events", "still with their senders at the end")
	diff := float64(offered) - float64(sum.Settled()+waiting+unsettled)
	add("books: off by", diff, "events", fmt.Sprintf("offered less all of these; %d of %d senders disagree with the log", wrong, len(all)))
	if diff != 0 && wrong == 0 {
		x.rep.Faults = append(x.rep.Faults, fmt.Sprintf("the books are off by %.0f events", diff))
	}
	return nil
}
