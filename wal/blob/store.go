package blob

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/klauspost/compress/zstd"

	"eyrie/wal"
)

// The folder of blobs:
//
//	SPACE/ab/abcd…   a blob; SPACE is half the SHA-256 of the space's name, in hexadecimal
//	new/N            being written; worthless after a crash
//
// A file gets its name once its content is synced, and Put answers once the name
// is. Spaces share nothing: that another one holds the same content shows in
// nothing, not even in how long a Put takes.
const newName = "new"

// SizeMax is the largest content of a blob, in bytes.
const SizeMax = 16 << 20

// Key names a blob.
type Key struct {
	Space string
	Sum   [sha256.Size]byte // SHA-256 of the content
}

// String names the content in hexadecimal.
func (k Key) String() string { return hex.EncodeToString(k.Sum[:]) }

// Options configures a Store. Zero values stand for the defaults named.
type Options struct {
	FS  vfs.FS           // default: the machine's
	Dir string           // made at the first Put
	Now func() time.Time // default: time.Now
	// Grace is how long a blob stays that nothing names: since it came, and
	// since Put or Use was last called for it. Default 24 h.
	Grace time.Duration
	// DiskFree and DiskMin as those of the log: below, Put returns wal.ErrDiskFull.
	DiskFree func(dir string) (uint64, error)
	DiskMin  uint64
}

// Store is the blobs of one data folder.
type Store struct {
	o   Options
	enc *zstd.Encoder
	dec *zstd.Decoder

	mu      sync.Mutex
	used    map[Key]time.Time // since the start: Put or Use
	writing map[Key]chan struct{}
	dirs    map[string]bool // whose names, and entries of earlier lives, are durable
	pins    int
	part    uint64

	dirMu sync.Mutex // of dirs

	fileMu sync.Mutex // held while a file comes or goes
	bytes  int64      // of all files, once counted
	known  bool       // bytes has been counted
}

// Open returns the store of a folder, which need not be there, and removes what
// a crash has left half written.
func Open(o Options) (*Store, error) {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Grace == 0 {
		o.Grace = 24 * time.Hour
	}
	if o.DiskFree == nil {
		fs := o.FS
		o.DiskFree = func(dir string) (uint64, error) {
			u, err := fs.GetDiskUsage(dir)
			return u.AvailBytes, err
		}
	}
	s := &Store{o: o, used: map[Key]time.Time{}, writing: map[Key]chan struct{}{}, dirs: map[string]bool{}}
	var err error
	if s.enc, err = zstd.NewWriter(nil, zstd.WithEncoderCRC(false), zstd.WithEncoderConcurrency(2)); err != nil {
		return nil, err
	}
	if s.dec, err = zstd.NewReader(nil, zstd.WithDecoderMaxMemory(SizeMax), zstd.WithDecoderConcurrency(2)); err != nil {
		return nil, err
	}
	if err := o.FS.RemoveAll(s.path(newName)); err != nil {
		return nil, fmt.Errorf("blobs: what a crash left: %w", err)
	}
	return s, nil
}

// Close gives back memory. Nothing may be called afterwards.
func (s *Store) Close() {
	s.dec.Close()
	_ = s.enc.Close() // of no stream
}

func (s *Store) path(elem ...string) string {
	return s.o.FS.PathJoin(append([]string{s.o.Dir}, elem...)...)
}

// room is the folder of a space.
func room(space string) string {
	sum := sha256.Sum256([]byte(space))
	return hex.EncodeToString(sum[:16])
}

// Name is the blob's file, relative to the folder of blobs.
func (k Key) Name() string {
	sum := k.String()
	return room(k.Space) + "/" + sum[:2] + "/" + sum
}

func (s *Store) file(k Key) string {
	sum := k.String()
	return s.path(room(k.Space), sum[:2], sum)
}

// Put keeps content under its SHA-256 and returns once that is durable. What is
// there already is not written again, and keeps its media type. Errors:
// ErrTooLarge, ErrSpace, wal.ErrDiskFull, those of the file system.
func (s *Store) Put(space, kind string, content []byte) (Key, error) {
	k := Key{Space: space, Sum: sha256.Sum256(content)}
	if len(content) > SizeMax {
		return k, ErrTooLarge
	}
	if len(space) > 255 || len(kind) > 255 {
		return k, ErrSpace
	}
	for { // one at a time of one content
		s.mu.Lock()
		busy := s.writing[k]
		if busy == nil {
			break
		}
		s.mu.Unlock()
		<-busy
	}
	done := make(chan struct{})
	s.writing[k] = done
	s.mu.Unlock()
	err := s.put(k, kind, content)
	s.mu.Lock()
	if delete(s.writing, k); err == nil {
		s.used[k] = s.o.Now()
	}
	s.mu.Unlock()
	close(done)
	if errors.Is(err, syscall.ENOSPC) {
		err = fmt.Errorf("%w: %w", wal.ErrDiskFull, err)
	}
	if err != nil {
		return k, fmt.Errorf("blob: %w", err)
	}
	return k, nil
}

func (s *Store) put(k Key, kind string, content []byte) error {
	name := s.file(k)
	dir := s.o.FS.PathDir(name)
	if _, err := s.o.FS.Stat(name); err == nil {
		if _, err := s.Get(k); err == nil {
			return s.durable(dir)
		} // what is damaged is written anew
	} else if !oserror.IsNotExist(err) {
		return err
	}
	if err := s.durable(s.path(newName)); err != nil {
		return err
	}
	if free, err := s.o.DiskFree(s.o.Dir); err == nil && free < s.o.DiskMin+uint64(len(content)) {
		return fmt.Errorf("%w: %d bytes are free, %d are wanted", wal.ErrDiskFull, free, s.o.DiskMin)
	}
	h := header{codec: codecRaw, space: k.Space, kind: kind, size: uint32(len(content)), sum: k.Sum}
	body := content
	if z := s.enc.EncodeAll(content, nil); len(z) < len(content)-len(content)/16 {
		h.codec, body = codecZstd, z
	}
	h.stored = uint32(len(body))
	s.mu.Lock()
	s.part++
	part := s.path(newName, strconv.FormatUint(s.part, 10))
	s.mu.Unlock()
	p := h.append(make([]byte, 0, headerBytesMax+len(body)))
	if err := s.write(part, append(p, body...)); err != nil {
		return errors.Join(err, ignoreMissing(s.o.FS.Remove(part)))
	}
	if err := s.durable(dir); err != nil {
		return err
	}
	if err := s.install(part, name); err != nil {
		return err
	}
	if err := s.sync(dir); err != nil { // tried again, a sync may claim what this one has lost
		return errors.Join(err, s.remove(k, name))
	}
	return nil
}

// install gives a written file its name.
func (s *Store) install(part, name string) error {
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	st, err := s.o.FS.Stat(part)
	if err != nil {
		return err
	}
	n := st.Size()
	if st, err := s.o.FS.Stat(name); err == nil {
		n -= st.Size() // damaged
	}
	if err := s.o.FS.Rename(part, name); err != nil {
		return err
	}
	s.bytes += n
	return nil
}

// remove takes a file away.
func (s *Store) remove(k Key, name string) error {
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	st, err := s.o.FS.Stat(name)
	if err == nil {
		err = s.o.FS.Remove(name)
	}
	if oserror.IsNotExist(err) {
		return nil
	}
	if err == nil {
		s.bytes -= st.Size()
	}
	return err
}

func ignoreMissing(err error) error {
	if oserror.IsNotExist(err) {
		return nil
	}
	return err
}

// write makes a new synced file that only its owner may read. A file system may
// change p.
func (s *Store) write(name string, p []byte) error {
	f, err := s.o.FS.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if vfs.Root(s.o.FS) == vfs.Default {
		err = os.Chmod(name, 0o600)
	}
	if err == nil {
		_, err = f.Write(p)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (s *Store) sync(dir string) error {
	d, err := s.o.FS.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// durable makes the folder, its name, and what is in it, durable: once in a
// process's life, for another life may have left it made and not synced.
func (s *Store) durable(dir string) error {
	s.dirMu.Lock()
	defer s.dirMu.Unlock()
	return s.durableLocked(dir)
}

func (s *Store) durableLocked(dir string) error {
	if s.dirs[dir] {
		return nil
	}
	fs := s.o.FS
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if up := fs.PathDir(dir); up != dir {
		if dir != s.o.Dir {
			if err := s.durableLocked(up); err != nil {
				return err
			}
		}
		if err := s.sync(up); err != nil {
			return err
		}
	}
	if err := s.sync(dir); err != nil {
		return err
	}
	s.dirs[dir] = true
	return nil
}

// Use reports whether the blob is there, and keeps it for another grace time if
// it is: so an event that names it may come. What Use has answered true for
// survives a power cut.
func (s *Store) Use(k Key) (bool, error) {
	now := s.o.Now()
	s.mu.Lock()
	if _, ok := s.used[k]; ok {
		s.used[k] = now
		s.mu.Unlock()
		return true, nil
	}
	// Under the lock: no Drop between the look and the note.
	defer s.mu.Unlock()
	if s.writing[k] != nil {
		return false, nil // its name may be there, and not durable
	}
	name := s.file(k)
	if _, err := s.o.FS.Stat(name); oserror.IsNotExist(err) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	if err := s.durable(s.o.FS.PathDir(name)); err != nil {
		return false, err
	}
	s.used[k] = now
	return true, nil
}

// Blob is what a store holds under a key.
type Blob struct {
	Key     Key
	Kind    string // media type, as it was given; may be empty
	Size    int64  // bytes of content
	Content []byte // nil from Stat
}

// Stat tells of a blob without reading its content. Errors as those of Get.
func (s *Store) Stat(k Key) (*Blob, error) { return s.StatFile(k.Name()) }

// Get returns a blob whose content has the SHA-256 that it is named by. Errors:
// ErrNotFound, ErrDamaged wrapped, those of the file system.
func (s *Store) Get(k Key) (*Blob, error) { return s.GetFile(k.Name()) }

// StatFile is Stat of a file that Walk has found: whose it is, it says itself.
func (s *Store) StatFile(name string) (*Blob, error) {
	h, _, err := s.read(name, s.path(name), headerBytesMax)
	if err != nil {
		return nil, err
	}
	return &Blob{Key: Key{Space: h.space, Sum: h.sum}, Kind: h.kind, Size: int64(h.size)}, nil
}

// GetFile is Get of a file that Walk has found.
func (s *Store) GetFile(name string) (*Blob, error) { return s.GetCopy(name, s.path(name)) }

// GetCopy is GetFile of a copy of it that lies at a path.
func (s *Store) GetCopy(name, path string) (*Blob, error) {
	h, body, err := s.read(name, path, SizeMax+headerBytesMax)
	if err != nil {
		return nil, err
	}
	return s.content(&h, body)
}

// read reads at most so many bytes of a file, or of a copy of it: its header, and what follows.
func (s *Store) read(name, path string, most int64) (h header, body []byte, err error) {
	f, err := s.o.FS.Open(path)
	if oserror.IsNotExist(err) {
		return h, nil, ErrNotFound
	}
	if err != nil {
		return h, nil, err
	}
	p, err := readAll(f, most)
	if err = errors.Join(err, f.Close()); err != nil {
		return h, nil, err
	}
	at, err := h.decode(p)
	if err != nil {
		return h, nil, err
	}
	if k := (Key{Space: h.space, Sum: h.sum}); k.Name() != name {
		return h, nil, damaged("it is another blob's file")
	}
	return h, p[at:], nil
}

func readAll(f vfs.File, most int64) ([]byte, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	p := make([]byte, min(st.Size(), most))
	_, err = io.ReadFull(f, p)
	return p, err
}

func (s *Store) content(h *header, body []byte) (*Blob, error) {
	if int(h.stored) != len(body) {
		return nil, damaged(fmt.Sprintf("it has %d bytes of content, %d expected", len(body), h.stored))
	}
	if h.codec == codecZstd {
		var err error
		if body, err = s.dec.DecodeAll(body, make([]byte, 0, h.size)); err != nil {
			return nil, damaged(err.Error())
		}
	}
	if len(body) != int(h.size) || sha256.Sum256(body) != h.sum {
		return nil, damaged("its SHA-256 is not that of its content")
	}
	return &Blob{Key: Key{Space: h.space, Sum: h.sum}, Kind: h.kind, Size: int64(h.size), Content: slices.Clip(body)}, nil
}

// Drop removes a blob that nothing names, unless it is pinned or within its
// grace time, and reports whether it is gone.
func (s *Store) Drop(k Key) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pins > 0 || s.writing[k] != nil {
		return false, nil
	}
	name := s.file(k)
	st, err := s.o.FS.Stat(name)
	if oserror.IsNotExist(err) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	since := s.o.Now().Add(-s.o.Grace)
	if s.used[k].After(since) || st.ModTime().After(since) {
		return false, nil
	}
	if err := s.remove(k, name); err != nil {
		return false, err
	}
	delete(s.used, k)
	return true, nil
}

// Forget removes a blob, whatever its age, that is to be nowhere any more, and
// reports whether it is gone: not where it is pinned, or was used this minute,
// for then an event that names it may be about to come.
func (s *Store) Forget(k Key) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pins > 0 || s.writing[k] != nil || s.used[k].After(s.o.Now().Add(-settled)) {
		return false, nil
	}
	name := s.file(k)
	if err := s.remove(k, name); err != nil {
		return false, err
	}
	delete(s.used, k)
	return true, ignoreMissing(s.sync(s.o.FS.PathDir(name))) // it must not come back
}

// settled is how long an event takes at most from Use to where its view sees it,
// so that what names the blob is known.
const settled = time.Minute

// Pin keeps every blob until unpin is called: a backup takes what it finds.
func (s *Store) Pin() (unpin func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pins++
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pins--
	})
}

// Expire forgets uses that are over their grace time.
func (s *Store) Expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	since := s.o.Now().Add(-s.o.Grace)
	for k, at := range s.used {
		if !at.After(since) {
			delete(s.used, k)
		}
	}
}
