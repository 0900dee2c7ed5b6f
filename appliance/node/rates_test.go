//go:build linux

package node_test

import (
	"bufio"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eyrie/appliance/config"
	"eyrie/appliance/node"
	"eyrie/engine/wire"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestRates overloads a node whose disk takes its time: the ring fills, CRITICAL
// events pass nevertheless, the log shows its pace, and rates come into force.
// Who overloads is told and not read for a while; what others send
// little of is acknowledged meanwhile. After calm, for which the loops' clock is put forward, it is over.
func TestRates(t *testing.T) {
	disk := &slowDisk{FS: vfs.NewMem(), one: make(chan struct{})}
	began, ahead := time.Now(), new(atomic.Int64)
	r := newRigWith(t, node.Options{
		Config: rigConfig(t.TempDir(), func(c *config.Config) {
			c.Loops, c.IdleTimeout, c.Ping = 1, config.Duration(24*time.Hour), config.Duration(23*time.Hour)
		}),
		Settings: func([]config.Tuned) []config.Value { return nil }, Logger: slog.New(slog.DiscardHandler),
		FS: disk, Clock: func() int64 { return int64(time.Since(began)) + ahead.Load() },
	})
	var all []*listener
	for n := range byte(8) {
		all = append(all, r.listen(t, n))
	}
	greedy, urgent, modest := all[0], all[1], all[2:]
	for _, l := range all {
		l.write(eventsOf(wire.MsgPack, 1, message("first")))
		eventually(t, "the ack of the first event", func() bool { return l.acked() == 1 })
	}

	disk.hold.Store(true)
	full := func() bool { return r.metric(t, `eyrie_engine_ring_level{loop="0"}`) == 4 }
	var stop atomic.Bool
	flooded := make(chan uint64, 1) // the last number
	go func() {
		seq := uint64(2)
		events := slices.Repeat([]wire.Event{message(strings.Repeat("x", 200))}, 200)
		for ; !stop.Load(); seq += uint64(len(events)) {
			greedy.write(eventsOf(wire.MsgPack, seq, events...))
		}
		flooded <- seq - 1
	}()
	eventually(t, "a full ring", full)
	stuck := greedy.acked()

	urgent.write(eventsOf(wire.MsgPack, 2, wire.Event{Type: wire.TypeMessage, Msg: "now", Prio: wire.PrioCritical}))
	eventually(t, "the CRITICAL event, beyond the full ring", func() bool { return r.metric(t, `eyrie_engine_events_critical_total{loop="0"}`) == 1 })
	if !full() || greedy.acked() > stuck {
		t.Fatal("the ring is not full any more: the CRITICAL event proves nothing")
	}

	eventually(t, "rates", func() bool {
		if full() {
			disk.step()
		}
		return r.metric(t, "eyrie_admit_rate_events") > 0
	})
	disk.open()
	eventually(t, "the ack of the CRITICAL event", func() bool { return urgent.acked() == 2 })
	eventually(t, "slow", func() bool { s := greedy.slow(); return len(s) > 0 && s[0] > 0 })
	eventually(t, "a pause", func() bool { return r.metric(t, `eyrie_engine_rate_pauses_total{loop="0"}`) > 0 })
	for _, l := range modest {
		l.write(eventsOf(wire.MsgPack, 2, message("only one")))
		eventually(t, "the ack of a modest link", func() bool { return l.acked() == 2 })
	}
	if n := r.metric(t, "eyrie_admit_rate_events"); n == 0 {
		t.Error("the limits ended while there was pressure")
	}

	stop.Store(true)
	last := <-flooded
	eventually(t, "all acks", func() bool { return greedy.acked() == last })
	eventually(t, "the end of all limits", func() bool {
		ahead.Add(int64(11 * time.Second)) // two readings without pressure are enough
		return r.metric(t, "eyrie_admit_rate_events") == 0
	})
	eventually(t, "slow 0", func() bool { s := greedy.slow(); return s[len(s)-1] == 0 })
	greedy.write(eventsOf(wire.MsgPack, last+1, message("as before")))
	eventually(t, "an ack afterwards", func() bool { return greedy.acked() == last+1 })
}

// listener is a link whose messages are taken as they come.
type listener struct {
	t   *testing.T
	raw *rawLink

	mu    sync.Mutex
	ack   uint64
	rates []float64
}

// listen opens the link of producer n, which is welcome.
func (r *rig) listen(t *testing.T, n byte) *listener {
	t.Helper()
	raw, err := dialRaw(r.ingest, upgrade(r.agent, packed), helloOf(wire.MsgPack, n, 1, fmt.Sprint("agent-", n)))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := raw.next(); err != nil || got.Op != wire.OpWelcome {
		t.Fatalf("%v, %v", got.Op, err)
	}
	l := &listener{t: t, raw: raw}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			m, err := raw.next()
			if err != nil {
				return
			}
			l.mu.Lock()
			switch m.Op {
			case wire.OpAck:
				l.ack = m.Seq
			case wire.OpSlow:
				l.rates = append(l.rates, m.Rate)
			default:
				t.Errorf("link %d: %v, closed %d %q", n, m.Op, m.closed, m.reason)
			}
			l.mu.Unlock()
		}
	}()
	t.Cleanup(func() { raw.close(); <-done })
	return l
}

func (l *listener) write(b []byte) {
	if _, err := l.raw.c.Write(b); err != nil {
		l.t.Error(err)
	}
}

func (l *listener) acked() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ack
}

// slow returns the rates that were told.
func (l *listener) slow() []float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.rates)
}

// metric reads one sample.
func (r *rig) metric(t *testing.T, name string) float64 {
	t.Helper()
	req, _ := http.NewRequest("GET", "http://"+r.web+"/metrics", nil)
	req.Header.Set("Authorization", "Bearer "+r.operator)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for s := bufio.NewScanner(resp.Body); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), name+" "); ok {
			f, err := strconv.ParseFloat(v, 64)
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
	}
	t.Fatalf("no %s among the metrics: %d", name, resp.StatusCode)
	return 0
}

// slowDisk lets the syncs of the log's WAL wait while hold is set.
type slowDisk struct {
	vfs.FS
	hold atomic.Bool
	one  chan struct{} // lets one pass
}

// step lets one sync pass that waits already.
func (d *slowDisk) step() {
	select {
	case d.one <- struct{}{}:
	default:
	}
}

// open lets all pass from now on.
func (d *slowDisk) open() {
	d.hold.Store(false)
	close(d.one)
}

func (d *slowDisk) file(f vfs.File, err error, name string) (vfs.File, error) {
	if err == nil && strings.Contains(name, "/log/") && strings.HasSuffix(name, ".log") {
		f = slowFile{f, d}
	}
	return f, err
}

func (d *slowDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.Create(name, c)
	return d.file(f, err, name)
}

func (d *slowDisk) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.ReuseForWrite(old, name, c)
	return d.file(f, err, name)
}

func (d *slowDisk) Unwrap() vfs.FS { return d.FS }

type slowFile struct {
	vfs.File
	d *slowDisk
}

func (f slowFile) wait() {
	if f.d.hold.Load() {
		<-f.d.one
	}
}

func (f slowFile) Sync() error                  { f.wait(); return f.File.Sync() }
func (f slowFile) SyncData() error              { f.wait(); return f.File.SyncData() }
func (f slowFile) SyncTo(n int64) (bool, error) { f.wait(); return f.File.SyncTo(n) }
