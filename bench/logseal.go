package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"eyrie/bench/host"
	"eyrie/bench/logbench"
)

// What is asked of sealing.
const (
	sealedBytesMax   = 40
	amplificationMax = 2.5
	amplificationAim = 2
)

// seal looks at what sealing takes and leaves, with the server's sizes and with
// small ones.
func (m *Log) seal(ctx context.Context, dir string) error {
	opts := logbench.Options("", true)
	m.rep.Set("seal", "%d events, all distinct, appended as fast as they are made, while the log seals; with the server's sizes some 80 MiB of blocks (what the next open checks) and a stretch stay unsealed, with small ones 20 MiB and a stretch: memtables of %d MiB, groups of %d, checkpoints every %d; stretches of %d MiB in both", m.Sealing, opts.MemtableBytes>>20, opts.GroupBytes>>20, opts.CheckpointBytes>>20, opts.Seal.Bytes>>20)
	for _, small := range []bool{false, true} {
		name := "seal"
		if small {
			name = "seal small"
		}
		if err := m.sealing(ctx, filepath.Join(dir, strings.ReplaceAll(name, " ", "-")), name, small); err != nil {
			return err
		}
	}
	return m.sealAlone(ctx, filepath.Join(dir, "seal-alone"))
}

// sealing fills a log while it seals.
func (m *Log) sealing(ctx context.Context, dir, name string, small bool) error {
	m.say("%s: %d events", name, m.Sealing)
	c, err := m.child(ctx)
	if err != nil {
		return err
	}
	defer func() {
		c.Kill()
		os.RemoveAll(dir)
	}()
	if _, err := c.do(logbench.Order{Do: "open", Kind: logbench.KindLog, Dir: dir, Seed: m.Seed, Agents: m.Agents, Small: small}); err != nil {
		return err
	}
	before, diskErr := host.DiskWritten(dir)
	if _, err := c.do(logbench.Order{Do: "fill", Events: m.Sealing}); err != nil {
		return err
	}
	a, err := c.do(logbench.Order{Do: "drain"})
	if err != nil {
		return err
	}
	after, err := host.DiskWritten(dir)
	diskErr = errors.Join(diskErr, err)
	m.cpu += a.Used.CPU
	s := a.Sealed
	if s.Records == 0 {
		m.rep.Set(name, "nothing was sealed: all of the %d events are among what stays in blocks", m.Sealing)
		return nil
	}
	n := float64(s.Records)
	m.rep.Add(name+": sealed", n, "events", fmt.Sprintf("in %d stretches; %.0f %% of what was appended", s.Stretches, 100*n/float64(m.Sealing)))
	m.must(name+": bytes", float64(s.Bytes+s.IndexBytes)/n, "B/event", sealedBytesMax, fmt.Sprintf("on disk, indexes (%.2f B) included; the blocks took %.1f B", float64(s.IndexBytes)/n, float64(s.HotBytes)/n))
	// What sealing has written goes on what is sealed, all else on what was stored.
	stored, sealed := float64(a.Stats.StoredBytes), float64(a.Stages[logbench.StageSeal])
	amplified := func(device float64) float64 { return (device-sealed)/stored + sealed/float64(s.HotBytes) }
	says := fmt.Sprintf("bytes from first write to sealed, per byte of a block as stored; the aim is %d", amplificationAim)
	charged := amplified(float64(a.Used.Written))
	if diskErr == nil {
		m.must(name+": amplification", amplified(float64(after-before)), "times", amplificationMax, "by the disk's own count, which has in it what others wrote meanwhile: "+says)
		m.rep.Add(name+": charged", charged, "times", "the same as the kernel charges it to the process, which counts a large page as a whole where part of it is written")
	} else {
		m.must(name+": amplification", charged, "times", amplificationMax, "as the kernel charges it to the process: "+says)
	}
	stages := make([]string, 0, len(a.Stages))
	for k := range a.Stages {
		stages = append(stages, k)
	}
	sort.Strings(stages)
	for _, k := range stages {
		per, of := stored, "stored"
		if k == logbench.StageSeal {
			per, of = float64(s.HotBytes), "sealed"
		}
		m.rep.Add(name+": of this "+k, float64(a.Stages[k])/per, "times", "bytes handed to the kernel per byte of a block "+of)
	}
	return nil
}

// sealAlone seals a log with nothing else going on in its process.
func (m *Log) sealAlone(ctx context.Context, dir string) error {
	events := max(m.Sealing/4, 1_500_000)
	m.say("seal alone: %d events", events)
	c, err := m.child(ctx)
	if err != nil {
		return err
	}
	defer func() {
		c.Kill()
		os.RemoveAll(dir)
	}()
	if _, err := c.do(logbench.Order{Do: "open", Kind: logbench.KindLog, Dir: dir, Seed: m.Seed, Agents: m.Agents, Small: true, Off: true}); err != nil {
		return err
	}
	if _, err := c.do(logbench.Order{Do: "fill", Events: events}); err != nil {
		return err
	}
	a, err := c.do(logbench.Order{Do: "seal"})
	if err != nil {
		return err
	}
	m.cpu += a.Used.CPU
	n := float64(a.Sealed.Records)
	if n == 0 {
		return fmt.Errorf("nothing of %d events was sealed", events)
	}
	m.rep.Add("seal: cpu", float64(a.Whole)/n, "ns/event", fmt.Sprintf("of a process that does nothing else, %.0f events in %d stretches, the comparison with the blocks and the collector included", n, a.Sealed.Stretches))
	m.rep.Add("seal: rate", n/a.Took.Seconds(), "events/s", "the same by the clock: sealing keeps up with so many for ever")
	m.rep.Add("seal: memory", float64(a.Memory)/(1<<20), "MiB", "resident at most, beyond what the process had before")
	return nil
}
