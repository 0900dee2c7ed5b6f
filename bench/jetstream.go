package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"eyrie/bench/host"
	"eyrie/bench/report"
	"eyrie/bench/workload"
	"eyrie/engine/wire"
)

// publishing is a job of the adapter, and published its answer.
type publishing struct {
	URL         string  `json:"url"`
	Frames      string  `json:"frames"`
	Events      int     `json:"events"`
	Connections int     `json:"connections"`
	Pending     int     `json:"pending"`
	Seconds     float64 `json:"seconds"`
	Rate        float64 `json:"rate"`
}

type published struct {
	Events  uint64  `json:"events"`
	Seconds float64 `json:"seconds"`
	Bytes   uint64  `json:"bytes"`
	P50     float64 `json:"p50_ms"`
	P99     float64 `json:"p99_ms"`
	P999    float64 `json:"p999_ms"`
}

// What JetStream is given: messages of 100 events, compressed by S2 as eyrie's
// blocks are, published asynchronously over a few connections with as many
// messages unacknowledged as eyrie has frames on 1,000 links. A connection an agent
// only costs it more.
const (
	jetEvents      = 100
	jetConnections = 4
	jetPending     = 1_000
)

func (m *Matrix) jetstream(ctx context.Context, rep *report.Report, cpu *time.Duration) error {
	dir, remove, err := m.temp("jetstream")
	if err != nil {
		return err
	}
	defer remove()
	exe := filepath.Join(dir, "jetstream")
	if err := buildAdapter(ctx, m.JetStream, exe); err != nil {
		return err
	}
	frames := filepath.Join(dir, "frames")
	if err := os.WriteFile(frames, m.frames(), 0o600); err != nil {
		return err
	}
	rep.Set("JetStream", "nats-server and nats.go as in %s, file storage, one stream; messages of %d events of the same mix in S2, PublishAsync over %d connections, %d unacknowledged; no view of any kind", filepath.Join(m.JetStream, "go.mod"), jetEvents, jetConnections, jetPending)
	for _, sync := range []string{"always", "default"} {
		if err := m.jetOne(ctx, rep, exe, frames, filepath.Join(dir, sync), sync, cpu); err != nil {
			return fmt.Errorf("sync %s: %w", sync, err)
		}
	}
	return nil
}

// frames are frames of the mix as the adapter reads them.
func (m *Matrix) frames() (out []byte) {
	sh := m.Shape
	sh.Connections = 1_000
	for c := range 200 {
		s := workload.NewStream(sh, c)
		for range 5 {
			var evs [][]byte
			for range jetEvents {
				evs = append(evs, s.Append(nil, time.Now().UnixMilli()))
			}
			f := wire.AppendEvents(nil, wire.MsgPack, 1, nil, evs...)
			out = append(binary.LittleEndian.AppendUint32(out, uint32(len(f))), f...)
		}
	}
	return out
}

func (m *Matrix) jetOne(ctx context.Context, rep *report.Report, exe, frames, data, sync string, cpu *time.Duration) error {
	server, url, err := startAdapter(ctx, exe, "serve", data, sync)
	if err != nil {
		return err
	}
	defer server.End(adapterGrace)
	job := publishing{URL: url, Frames: frames, Events: jetEvents, Connections: jetConnections, Pending: jetPending, Seconds: m.For.Seconds()}
	before, err := host.Look(server.Pid())
	if err != nil {
		return err
	}
	r, client, err := jetPublish(ctx, exe, job)
	if err != nil {
		return err
	}
	after, err := host.Look(server.Pid())
	if err != nil {
		return err
	}
	*cpu += after.CPU - before.CPU + client
	at, n := "JetStream, sync "+sync+": ", float64(r.Events)
	rep.Add(at+"acknowledged", n/r.Seconds, "events/s", "stored and acknowledged by the stream")
	rep.Add(at+"server cpu", float64((after.CPU-before.CPU).Microseconds())/n, "µs/event", "CPU of its server per event, which keeps no views")
	rep.Add(at+"client cpu", float64(client.Microseconds())/n, "µs/event", "CPU of its client per event, S2 included")
	rep.Add(at+"ack p50 full", r.P50, "ms", "of messages of 100 events")
	rep.Add(at+"ack p99 full", r.P99, "ms", "")
	rep.Add(at+"device", float64(after.Written-before.Written)/n, "B/event", "written to the disk")
	full := n / r.Seconds
	for _, share := range m.Loads {
		job.Rate, job.Seconds = full*share, m.For.Seconds()/2
		r, client, err := jetPublish(ctx, exe, job)
		if err != nil {
			return err
		}
		*cpu += client
		rep.Add(fmt.Sprintf("%sack p50 at %.0f %%", at, 100*share), r.P50, "ms", "from when a message was due")
		rep.Add(fmt.Sprintf("%sack p99 at %.0f %%", at, 100*share), r.P99, "ms", "")
		rep.Add(fmt.Sprintf("%sack p99.9 at %.0f %%", at, 100*share), r.P999, "ms", "")
	}
	return nil
}

// jetPublish runs one job and returns what was seen and the CPU it took.
func jetPublish(ctx context.Context, exe string, job publishing) (*published, time.Duration, error) {
	arg, err := json.Marshal(job)
	if err != nil {
		return nil, 0, err
	}
	cmd := exec.CommandContext(ctx, exe, "publish", string(arg))
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return nil, 0, fmt.Errorf("%w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	var r published
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		return nil, 0, err
	}
	if r.Events == 0 || r.Seconds <= 0 {
		return nil, 0, errors.New("nothing was acknowledged")
	}
	return &r, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}
