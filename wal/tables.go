package wal

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// tables writes the tables of a stretch, one after the other.
type tables struct {
	l     *Log
	dir   string
	paths []string
	w     *sstable.Writer
}

func (t *tables) begin() error {
	if err := t.end(); err != nil {
		return err
	}
	path := t.l.o.FS.PathJoin(t.dir, fmt.Sprintf("%d.sst", len(t.paths)))
	f, err := t.l.o.FS.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if t.l.o.faults.skipSealSync {
		f = deafFile{f}
	}
	t.paths = append(t.paths, path)
	t.w = sstable.NewWriter(objstorageprovider.NewFileWritable(f), t.l.tableOptions())
	return nil
}

func (t *tables) set(key, value []byte) error { return t.w.Set(key, value) }

// end syncs the table being written.
func (t *tables) end() (err error) {
	if t.w != nil {
		err = t.w.Close()
		t.w = nil
	}
	return err
}

// close gives up what was not ended.
func (t *tables) close() error {
	if t.w == nil {
		return nil
	}
	_ = t.w.Close()
	return nil
}

// deafFile is a file that does not sync.
type deafFile struct{ vfs.File }

func (deafFile) Sync() error { return nil }

// tableOptions are those of tables made for the store.
func (l *Log) tableOptions() sstable.WriterOptions {
	o := l.storeOptions(nil)
	o.EnsureDefaults()
	return o.MakeWriterOptions(6, l.db.TableFormat())
}
