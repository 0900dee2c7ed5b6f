package logbench

import (
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Stages is a file system that counts what a log writes by the stage that
// writes it, in bytes handed to the kernel.
type Stages struct {
	vfs.FS
	mu sync.Mutex
	by map[string]*atomic.Int64

	hold atomic.Bool
}

// The stages that a log's bytes go through.
const (
	StageWAL     = "wal"
	StageFlush   = "flush"
	StageCompact = "compaction"
	StageSeal    = "seal"
	StageMark    = "mark"
	StageOther   = "other"
)

// NewStages counts over the machine's own file system.
func NewStages() *Stages { return &Stages{FS: vfs.Default, by: map[string]*atomic.Int64{}} }

// Hold has tables of the store that are made from now on wait for ever, so that
// nothing is flushed any more.
func (s *Stages) Hold() { s.hold.Store(true) }

// Unwrap returns the file system below.
func (s *Stages) Unwrap() vfs.FS { return s.FS }

// Bytes returns what was written at each stage.
func (s *Stages) Bytes() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]int64{}
	for k, n := range s.by {
		out[k] = n.Load()
	}
	return out
}

func (s *Stages) counted(f vfs.File, name string, c vfs.DiskWriteCategory, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	stage := stageOf(name, c)
	n := s.by[stage]
	if n == nil {
		n = &atomic.Int64{}
		s.by[stage] = n
	}
	return &countedFile{f, n}, nil
}

func stageOf(name string, c vfs.DiskWriteCategory) string {
	switch dir, file := filepath.Base(filepath.Dir(name)), filepath.Base(name); {
	case dir == "seal":
		return StageSeal
	case file == "mark":
		return StageMark
	case strings.HasSuffix(file, ".log"):
		return StageWAL
	case strings.Contains(string(c), "flush"):
		return StageFlush
	case strings.Contains(string(c), "compact"), strings.HasSuffix(file, ".sst"):
		return StageCompact
	}
	return StageOther
}

// Create creates a file that is counted.
func (s *Stages) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if s.hold.Load() && strings.HasSuffix(name, ".sst") {
		select {}
	}
	f, err := s.FS.Create(name, c)
	return s.counted(f, name, c, err)
}

// ReuseForWrite counts likewise.
func (s *Stages) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := s.FS.ReuseForWrite(old, name, c)
	return s.counted(f, name, c, err)
}

// OpenReadWrite counts likewise.
func (s *Stages) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := s.FS.OpenReadWrite(name, c, o...)
	return s.counted(f, name, c, err)
}

type countedFile struct {
	vfs.File
	n *atomic.Int64
}

// Write writes and counts.
func (f *countedFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	f.n.Add(int64(n))
	return n, err
}

// WriteAt writes and counts.
func (f *countedFile) WriteAt(p []byte, at int64) (int, error) {
	n, err := f.File.WriteAt(p, at)
	f.n.Add(int64(n))
	return n, err
}
