package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"eyrie/bench/logbench"
)

// openAfterKill kills a process that feeds a copy of the log at the moment of
// the most unflushed bytes, and opens it again.
func (m *Log) openAfterKill(ctx context.Context, dir string) error {
	if m.Kills == 0 {
		return nil
	}
	var opened, first, process times
	unflushed, cpu := int64(0), time.Duration(0)
	for i := range m.Kills {
		m.say("query: kill %d of %d", i+1, m.Kills)
		bytes, a, err := m.killOnce(ctx, dir, false)
		if err != nil {
			return err
		}
		unflushed, cpu = max(unflushed, bytes), cpu+a.Used.CPU
		opened.took = append(opened.took, a.Opened)
		first.took = append(first.took, a.Took)
		process.took = append(process.took, a.Process)
	}
	m.rep.Add("query: unflushed", float64(unflushed)/(1<<20), "MiB", fmt.Sprintf("of the log's WAL when its process was killed, at most over %d times: its store was kept from flushing until every memtable was full and writes waited", m.Kills))
	m.must("query: open after kill -9", first.at(1), "ms", firstMax, fmt.Sprintf("from wal.Open until the first event was durable, the slowest; median %.0f ms, of which open itself %.0f; %.0f ms with the start of the process; %.0f ms of CPU", first.at(0.5), opened.at(0.5), process.at(0.5), ms(cpu)/float64(m.Kills)))
	return nil
}

// killOnce does so once, with the server's sizes or small ones.
func (m *Log) killOnce(ctx context.Context, dir string, small bool) (unflushed int64, a logbench.Answer, err error) {
	to := filepath.Join(dir, "killed")
	if err := os.RemoveAll(to); err != nil {
		return 0, a, err
	}
	defer os.RemoveAll(to)
	if err := cloneLog(filepath.Join(dir, "log"), to); err != nil {
		return 0, a, err
	}
	c, err := m.child(ctx)
	if err != nil {
		return 0, a, err
	}
	a, err = c.do(logbench.Order{Do: "kill", Dir: to, Small: small, Seed: m.Seed + 1, Agents: m.Agents})
	m.cpu += a.Used.CPU
	c.Kill()
	if err != nil {
		return 0, a, err
	}
	unflushed = a.Stages[logbench.StageWAL]
	if c, err = m.child(ctx); err != nil {
		return 0, a, err
	}
	a, err = c.do(logbench.Order{Do: "first", Dir: to, Small: small})
	m.cpu += a.Used.CPU
	c.Kill()
	return unflushed, a, err
}

// cloneLog copies a closed log: tables, which never change, as links.
func cloneLog(from, to string) error {
	return filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(target, 0o700)
		case strings.HasSuffix(path, ".sst"):
			return os.Link(path, target)
		}
		return copyFile(path, target)
	})
}

func copyFile(from, to string) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err = io.Copy(w, r); err != nil {
		w.Close()
		return err
	}
	return w.Close()
}
