package wal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// stageName is the checkpoint of the store from which a backup is copied: hard
// links to its tables. Open removes what a crash has left of it.
const stageName = "backup.part"

// BackupOptions say where a backup goes and what it takes along.
type BackupOptions struct {
	FS  vfs.FS // of Dir; default the log's
	Dir string // a folder of backups of this log; made if it does not exist
	// Also are files beside the log that belong to the data folder, by their
	// name in it, with their path on the log's file system.
	Also map[string]string
	// Beside, if set, is asked once it is known what the backup vouches for: files
	// that its records name, as Also, but that never change under their name.
	Beside func() (map[string]string, error)
	// Keep is how many of the newest backups of the folder stay; 0 is all.
	Keep int
	// Progress, if set, is called as files are dealt with, with bytes.
	Progress func(done, total int64)
}

// BackupResult tells what a backup did.
type BackupResult struct {
	Backup      *Backup
	CopiedFiles int
	CopiedBytes int64
	KnownFiles  int // were there already, from a backup before
	KnownBytes  int64
	Removed     []string      // backups that Keep left no room for
	Damaged     []string      // manifests that cannot be read: nothing of the pool is removed while there are any
	Took        time.Duration // by Options.Now
}

var (
	// ErrBackupRunning is returned by Backup while another one of this log, or
	// one into the same folder, is being made.
	ErrBackupRunning = errors.New("a backup is being made already")
	// ErrOtherLog is returned by Backup for a folder with backups of another log.
	ErrOtherLog = errors.New("the folder holds backups of another log")
)

// Backup copies the log, as far as it is acknowledged now, into a folder of
// backups while it goes on. Tables that an earlier backup there holds are not
// copied again; each that is copied is checked. The backup exists once its
// manifest does, which is written last: after a crash, an error or the end of
// ctx there is none, and the ones before are whole. Any goroutine may call it;
// one runs at a time.
func (l *Log) Backup(ctx context.Context, o BackupOptions) (*BackupResult, error) {
	if !l.backing.TryLock() {
		return nil, ErrBackupRunning
	}
	defer l.backing.Unlock()
	if o.FS == nil {
		o.FS = l.o.FS
	}
	b := &backup{l: l, o: o, fs: o.FS, begun: l.o.Now(), res: &BackupResult{}}
	if err := b.run(ctx); err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	b.res.Took = l.o.Now().Sub(b.begun)
	return b.res, nil
}

// backup is one being made.
type backup struct {
	l     *Log
	o     BackupOptions
	fs    vfs.FS
	begun time.Time
	stage string
	m     Backup
	known map[string]BackupFile // of earlier ones of this store, by name
	pool  map[string]int64      // sizes by hash
	res   *BackupResult
	done  int64
	total int64

	beside map[string]string // of BackupOptions.Beside
	buf    []byte
}

func (b *backup) path(elem ...string) string {
	return b.fs.PathJoin(append([]string{b.o.Dir}, elem...)...)
}

func (b *backup) run(ctx context.Context) (err error) {
	if err := makePrivate(b.fs, b.path(poolName), b.path(backupsName)); err != nil {
		return err
	}
	lock, err := b.fs.Lock(b.path("LOCK"))
	if err != nil {
		return fmt.Errorf("%w: %s: %v", ErrBackupRunning, b.o.Dir, err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	earlier, damaged, err := Backups(b.fs, b.o.Dir)
	if err != nil {
		return err
	}
	for _, d := range damaged {
		b.res.Damaged = append(b.res.Damaged, d.Error())
	}
	if err := b.recall(earlier); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.l.o.FS.RemoveAll(b.stage)) }()
	if err := b.checkpoint(ctx); err != nil {
		return err
	}
	if b.o.Beside != nil {
		if b.beside, err = b.o.Beside(); err != nil {
			return err
		}
	}
	if err := b.last(ctx); err != nil {
		return err
	}
	if err := b.copy(ctx); err != nil {
		return err
	}
	if err := b.finish(earlier); err != nil {
		return err
	}
	earlier = append(earlier, &b.m)
	b.res.Backup = &b.m
	return b.prune(earlier)
}

// recall notes what the folder holds.
func (b *backup) recall(earlier []*Backup) error {
	b.known, b.pool = map[string]BackupFile{}, map[string]int64{}
	id := hex.EncodeToString(b.l.id[:])
	for _, e := range earlier {
		if e.Log != id {
			return fmt.Errorf("%w: %s is of log %s, this is log %s", ErrOtherLog, e.Name, e.Log, id)
		}
		for _, f := range e.Files {
			if !strings.HasPrefix(f.Name, logPrefix) {
				b.known[f.Name] = f
			} else if e.Epoch == b.l.Epoch() && strings.HasSuffix(f.Name, ".sst") { // in another store the same names stand for other files
				b.known[f.Name] = f
			}
		}
	}
	names, err := b.fs.List(b.path(poolName))
	if err != nil {
		return err
	}
	for _, n := range names {
		if strings.HasSuffix(n, partSuffix) {
			if err := b.fs.Remove(b.path(poolName, n)); err != nil {
				return err
			}
			continue
		}
		st, err := b.fs.Stat(b.path(poolName, n))
		if err != nil {
			return err
		}
		b.pool[n] = st.Size()
	}
	return nil
}

// checkpoint takes the mark and then a checkpoint of the store, which therefore
// holds all that the mark vouches for.
func (b *backup) checkpoint(ctx context.Context) error {
	l := b.l
	b.stage = l.o.FS.PathJoin(l.dir, stageName)
	if err := l.o.FS.RemoveAll(b.stage); err != nil {
		return err
	}
	m, err := l.freeze(ctx, b.stage)
	b.m = Backup{Format: backupVersion, Log: hex.EncodeToString(m.log[:]), Epoch: m.epoch, Next: m.next,
		Made: b.begun.UnixNano(), Digest: fmt.Sprintf("%016x", m.digest)}
	return err
}

// last notes the recv of the last record. The marker may be about to show it.
func (b *backup) last(ctx context.Context) error {
	if b.m.Next == 1 {
		return nil
	}
	blk, err := b.l.Follow(b.m.Next - 1).Next(ctx)
	if err != nil {
		return err
	}
	b.m.Recv = blk.Record(int(b.m.Next - 1 - blk.Base())).Recv
	return nil
}

// copy brings all files into the pool.
func (b *backup) copy(ctx context.Context) error {
	type source struct {
		name, path string
		size       int64
	}
	var files []source
	names, err := b.l.o.FS.List(b.stage)
	if err != nil {
		return err
	}
	for _, n := range names {
		if strings.HasSuffix(n, ".log") {
			continue
		}
		files = append(files, source{name: storePrefix + n, path: b.l.o.FS.PathJoin(b.stage, n)})
	}
	for _, more := range []map[string]string{b.o.Also, b.beside} {
		for name, path := range more {
			files = append(files, source{name: name, path: path})
		}
	}
	slices.SortFunc(files, func(x, y source) int { return strings.Compare(x.name, y.name) })
	for i := range files {
		st, err := b.l.o.FS.Stat(files[i].path)
		if err != nil {
			return err
		}
		files[i].size = st.Size()
		b.total += st.Size()
	}
	b.buf = make([]byte, 1<<20)
	for _, f := range files {
		e, err := b.file(ctx, f.name, f.path, f.size)
		if err != nil {
			return err
		}
		b.m.Files = append(b.m.Files, e)
	}
	return syncDir(b.fs, b.path(poolName))
}

// file makes sure that the pool holds the file at path.
func (b *backup) file(ctx context.Context, name, path string, size int64) (e BackupFile, err error) {
	src, err := b.l.o.FS.Open(path)
	if err != nil {
		return e, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	e = BackupFile{Name: name, Size: size}
	if e.Ends, err = endsOf(src, size); err != nil {
		return e, err
	}
	_, lasting := b.beside[name]
	if k, ok := b.known[name]; ok && (lasting || strings.HasSuffix(name, ".sst")) && k.Size == size && k.Ends == e.Ends && b.pool[k.SHA256] == size {
		b.res.KnownFiles++
		b.res.KnownBytes += size
		b.progress(size)
		return k, nil
	}
	part := b.path(poolName, b.fs.PathBase(name)+partSuffix)
	e.Size, e.SHA256, err = b.write(ctx, part, src)
	if err != nil {
		return e, errors.Join(err, b.fs.Remove(part))
	}
	if strings.HasSuffix(name, ".sst") {
		if err := checkTable(b.fs, part); err != nil {
			return e, errors.Join(fmt.Errorf("%s is damaged: %w", name, err), b.fs.Remove(part))
		}
	}
	if err := b.fs.Rename(part, b.path(poolName, e.SHA256)); err != nil {
		return e, err
	}
	b.pool[e.SHA256] = e.Size
	b.res.CopiedFiles++
	b.res.CopiedBytes += e.Size
	return e, nil
}

func (b *backup) progress(n int64) {
	b.done += n
	if b.o.Progress != nil {
		b.o.Progress(b.done, b.total)
	}
}

// write copies src to a new file, synced.
func (b *backup) write(ctx context.Context, name string, src io.Reader) (n int64, sum string, err error) {
	return copyHashed(ctx, b.fs, name, src, b.buf, b.progress)
}

// copyHashed writes a new private file from src and returns its length and hash.
func copyHashed(ctx context.Context, fs vfs.FS, name string, src io.Reader, buf []byte, progress func(int64)) (n int64, sum string, err error) {
	dst, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return 0, "", err
	}
	h := sha256.New()
	err = private(fs, name, 0o600)
	for err == nil {
		if err = ctx.Err(); err != nil {
			break
		}
		var k int
		k, err = io.ReadFull(src, buf)
		if k > 0 {
			h.Write(buf[:k])
			if _, werr := dst.Write(buf[:k]); werr != nil {
				err = werr
				break
			}
			n += int64(k)
			progress(int64(k))
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = dst.Sync()
	}
	return n, hex.EncodeToString(h.Sum(nil)), errors.Join(err, dst.Close())
}

// hashed reads src to its end and returns its length and hash.
func hashed(ctx context.Context, src io.Reader, buf []byte) (n int64, sum string, err error) {
	h := sha256.New()
	for {
		if err := ctx.Err(); err != nil {
			return n, "", err
		}
		k, err := src.Read(buf)
		h.Write(buf[:k])
		n += int64(k)
		if errors.Is(err, io.EOF) {
			return n, hex.EncodeToString(h.Sum(nil)), nil
		}
		if err != nil {
			return n, "", err
		}
	}
}

// checkTable reads every block of a table and compares its checksum.
func checkTable(fs vfs.FS, name string) error {
	f, err := fs.Open(name)
	if err != nil {
		return err
	}
	r, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	t, err := sstable.NewReader(context.Background(), r, sstable.ReaderOptions{})
	if err != nil {
		return errors.Join(err, r.Close())
	}
	return errors.Join(t.ValidateBlockChecksums(), t.Close())
}

// A backup's name begins with the time, to the millisecond.
const (
	backupTime  = "20060102T150405.000Z"
	backupGrain = time.Millisecond
)

// finish writes the manifest.
func (b *backup) finish(earlier []*Backup) error {
	at := b.begun.UTC()
	if n := len(earlier); n > 0 { // names go up, whatever the clock does
		stamp, _, _ := strings.Cut(earlier[n-1].Name, "-")
		if last, err := time.Parse(backupTime, stamp); err == nil && at.Before(last.Add(backupGrain)) {
			at = last.Add(backupGrain)
		}
	}
	b.m.Name = fmt.Sprintf("%s-%d", at.Format(backupTime), b.m.Next-1)
	p, err := b.m.encode()
	if err != nil {
		return err
	}
	if len(p) > fileBytesMax {
		return fmt.Errorf("its manifest takes %d bytes, at most %d can be read again", len(p), fileBytesMax)
	}
	final := b.path(backupsName, b.m.Name+backupSuffix)
	part := final + partSuffix
	if err := writePrivate(b.fs, part, p); err != nil {
		return err
	}
	if err := b.fs.Rename(part, final); err != nil {
		return err
	}
	return syncDir(b.fs, b.path(backupsName))
}

// prune removes backups beyond Keep, and then what none of those left holds.
func (b *backup) prune(all []*Backup) error {
	if b.o.Keep > 0 && len(all) > b.o.Keep {
		for _, e := range all[:len(all)-b.o.Keep] {
			if err := b.fs.Remove(b.path(backupsName, e.Name+backupSuffix)); err != nil {
				return err
			}
			b.res.Removed = append(b.res.Removed, e.Name)
		}
		all = all[len(all)-b.o.Keep:]
		if err := syncDir(b.fs, b.path(backupsName)); err != nil {
			return err
		}
	}
	if len(b.res.Damaged) > 0 {
		return nil // what they hold is not known
	}
	held := map[string]bool{}
	for _, e := range all {
		for i := range e.Files {
			held[e.Files[i].SHA256] = true
		}
	}
	for n := range b.pool {
		if !held[n] {
			if err := b.fs.Remove(b.path(poolName, n)); err != nil {
				return err
			}
		}
	}
	return nil
}

// makePrivate makes folders that only their owner may enter, and their names
// durable.
func makePrivate(fs vfs.FS, dirs ...string) error {
	for _, d := range dirs {
		var made []string
		for p := d; ; p = fs.PathDir(p) {
			if _, err := fs.Stat(p); err == nil {
				break
			} else if !oserror.IsNotExist(err) {
				return err
			}
			if made = append(made, p); fs.PathDir(p) == p {
				break
			}
		}
		if err := fs.MkdirAll(d, 0o700); err != nil {
			return err
		}
		for _, p := range made {
			if err := syncDir(fs, fs.PathDir(p)); err != nil {
				return err
			}
		}
	}
	return nil
}

// writePrivate writes a synced file that only its owner may read.
func writePrivate(fs vfs.FS, name string, p []byte) error {
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if err = private(fs, name, 0o600); err == nil {
		_, err = f.Write(p)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// private sets the permissions of a file on the machine's own file system; the
// others, of tests, have none.
func private(fs vfs.FS, name string, mode os.FileMode) error {
	if vfs.Root(fs) != vfs.Default {
		return nil
	}
	return os.Chmod(name, mode)
}
