package views

import (
	"context"
	"errors"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const bytesPerSync = 512 << 10

// rows is the table that a fold writes, before the store has it.
func (f *Files) rows(name string) string { return f.FS.PathJoin(f.Dir, name+".rows") }

// sweep removes what a crash has left of such a table.
func (f *Files) sweep(name string) error {
	if f.Dir == "" {
		return nil
	}
	if err := f.FS.Remove(f.rows(name)); err != nil && !oserror.IsNotExist(err) {
		return err
	}
	return nil
}

// ingest writes rows into a table and gives that to the store, durable at once,
// below all levels that are merged. Nothing leads to them but the batch that is
// committed next: after a crash in between they are there for nobody, and written again.
func (r *Runner) ingest(name string, rows Rows) (bytes int, err error) {
	fs := r.o.Files.FS
	path := r.o.Files.rows(name)
	file, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return 0, err
	}
	// Bit by bit to the disk: syncs of the log are not to wait for all at once.
	file = vfs.NewSyncingFile(file, vfs.SyncingFileOptions{BytesPerSync: bytesPerSync})
	w := sstable.NewWriter(objstorageprovider.NewFileWritable(file), sstable.WriterOptions{
		TableFormat: r.o.Store.TableFormat(), Compression: sstable.FastestCompression, BlockSize: blockSize,
	})
	n := 0
	err = rows(func(key, value []byte) error {
		n++
		bytes += len(key) + len(value)
		return w.Set(key, value)
	})
	if err = errors.Join(err, w.Close()); err != nil || n == 0 {
		return 0, errors.Join(err, fs.Remove(path))
	}
	return bytes, r.o.Store.Ingest(context.Background(), []string{path})
}
