package wal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// A folder of backups:
//
//	LOCK                             held while one is made
//	files/SHA256                     what backups hold, each file once, by the hash of its content
//	files/NAME.part                  being copied; worthless after a crash
//	backups/TIME-OFFSET.json         a backup: which file is what. Written last, by rename
//
// A file of a backup is named as in the data folder: log/store/000012.sst,
// keys/operator. All is readable by its owner alone.
const (
	poolName      = "files"
	backupsName   = "backups"
	partSuffix    = ".part"
	backupSuffix  = ".json"
	backupVersion = 1
	logPrefix     = "log/"
	storePrefix   = logPrefix + storeName + "/"
)

// Backup is the manifest of one. It holds every record below Next, which is
// what was acknowledged when it began.
type Backup struct {
	Format int    `json:"format"`
	Name   string `json:"name"`
	Log    string `json:"log"` // id, in hexadecimal
	Epoch  uint32 `json:"epoch"`
	Next   uint64 `json:"next"`    // first offset that is not in it
	Recv   int64  `json:"recv_ns"` // of the last record in it, Unix ns; 0 where it is empty
	Made   int64  `json:"made_ns"` // Unix ns
	Digest string `json:"digest"`  // of all block headers below Next, in hexadecimal

	Files []BackupFile `json:"files"`
	// Sum is the SHA-256 of this manifest with Sum empty.
	Sum string `json:"sum"`
}

// BackupFile is one file of a backup.
type BackupFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	// Ends is the SHA-256 of the first and the last 64 KiB: by it and its name
	// a table of the same store is known again without reading all of it.
	Ends string `json:"ends"`
}

// Path returns where the folder dir of backups keeps the file.
func (f *BackupFile) Path(fs vfs.FS, dir string) string { return fs.PathJoin(dir, poolName, f.SHA256) }

// Bytes returns the size of all files.
func (b *Backup) Bytes() (n int64) {
	for i := range b.Files {
		n += b.Files[i].Size
	}
	return n
}

// encode returns the manifest's only form: another one is a damaged one.
func (b *Backup) encode() ([]byte, error) {
	c := *b
	c.Sum = ""
	p, err := json.MarshalIndent(&c, "", " ")
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(p)
	c.Sum = hex.EncodeToString(sum[:])
	if p, err = json.MarshalIndent(&c, "", " "); err != nil {
		return nil, err
	}
	return append(p, '\n'), nil
}

// decodeBackup reads what encode wrote.
func decodeBackup(p []byte) (*Backup, error) {
	var b Backup
	if err := json.Unmarshal(p, &b); err != nil {
		return nil, err
	}
	if b.Format > backupVersion {
		return nil, &NewerFormatError{What: "backup", Got: uint64(b.Format), Most: backupVersion}
	}
	again, err := b.encode()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(p, again) {
		return nil, errors.New("its checksum is not that of its content")
	}
	return &b, nil
}

// BackupDamage names a file of a folder of backups that is missing or is not
// what was written.
type BackupDamage struct {
	Backup string // its name
	File   string // path within the folder of backups
	Is     string // what it is in the data folder; "" for the manifest itself
	Msg    string
}

// Error names both.
func (e *BackupDamage) Error() string {
	if e.Is == "" {
		return fmt.Sprintf("backup %s: %s %s", e.Backup, e.File, e.Msg)
	}
	return fmt.Sprintf("backup %s: %s, which is its %s, %s", e.Backup, e.File, e.Is, e.Msg)
}

// ErrNoBackup is returned where a folder holds no backup, or not the one named.
var ErrNoBackup = errors.New("no such backup")

// Backups returns the backups in folder dir, oldest first. Those whose manifest
// is damaged are left out, and named in damaged.
func Backups(fs vfs.FS, dir string) (bs []*Backup, damaged []*BackupDamage, err error) {
	names, err := fs.List(fs.PathJoin(dir, backupsName))
	if oserror.IsNotExist(err) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	slices.Sort(names)
	for _, n := range names {
		name, ok := strings.CutSuffix(n, backupSuffix)
		if !ok {
			continue
		}
		b, err := readBackup(fs, dir, name)
		var bad *BackupDamage
		if errors.As(err, &bad) {
			damaged = append(damaged, bad)
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		bs = append(bs, b)
	}
	return bs, damaged, nil
}

// readBackup reads the manifest of that name. Its error is a *BackupDamage, a
// *NewerFormatError or one of the file system's.
func readBackup(fs vfs.FS, dir, name string) (*Backup, error) {
	p, err := readFile(fs, fs.PathJoin(dir, backupsName, name+backupSuffix))
	if err != nil {
		return nil, err
	}
	b, err := decodeBackup(p)
	var newer *NewerFormatError
	if errors.As(err, &newer) {
		return nil, err
	}
	if err == nil && b.Name != name {
		err = fmt.Errorf("is that of %q", b.Name)
	}
	if err != nil {
		return nil, &BackupDamage{Backup: name, File: fs.PathJoin(backupsName, name+backupSuffix), Msg: "is damaged: " + err.Error()}
	}
	return b, nil
}

// OpenBackup returns the backup of that name in folder dir, the newest for "".
// Errors: ErrNoBackup, *BackupDamage, *NewerFormatError, the file system's.
func OpenBackup(fs vfs.FS, dir, name string) (*Backup, error) {
	if name == "" {
		names, err := fs.List(fs.PathJoin(dir, backupsName))
		if err != nil && !oserror.IsNotExist(err) {
			return nil, err
		}
		for _, n := range names {
			if n, ok := strings.CutSuffix(n, backupSuffix); ok && n > name {
				name = n
			}
		}
		if name == "" {
			return nil, fmt.Errorf("%w: %s holds none", ErrNoBackup, dir)
		}
	}
	b, err := readBackup(fs, dir, name)
	if oserror.IsNotExist(err) {
		return nil, fmt.Errorf("%w: %s holds none of the name %q", ErrNoBackup, dir, name)
	}
	return b, err
}

// fileBytesMax bounds a file that is read as a whole: a manifest takes some 300 bytes for each file,
// and a blob is one; a key file is small.
const fileBytesMax = 1 << 30

func readFile(fs vfs.FS, name string) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	p, err := io.ReadAll(io.LimitReader(f, fileBytesMax+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if len(p) > fileBytesMax {
		return nil, fmt.Errorf("%s: more than %d bytes", name, fileBytesMax)
	}
	return p, nil
}

// endsBytes is how much of each end of a table is looked at.
const endsBytes = 64 << 10

// endsOf returns BackupFile.Ends of a file of size bytes.
func endsOf(f io.ReaderAt, size int64) (string, error) {
	h := sha256.New()
	n := min(size, endsBytes)
	for _, at := range []int64{0, size - n} {
		if _, err := io.Copy(h, io.NewSectionReader(f, at, n)); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// pooled makes the files of a backup a source for an overlay, as a data folder.
type pooled struct {
	fs    vfs.FS
	root  string // where the data folder is pretended to be
	paths map[string]string
	dirs  map[string][]string
}

func newPooled(fs vfs.FS, dir, root string, b *Backup) *pooled {
	p := &pooled{fs: fs, root: root, paths: map[string]string{}, dirs: map[string][]string{}}
	for i := range b.Files {
		at := fs.PathJoin(root, b.Files[i].Name)
		p.paths[at] = b.Files[i].Path(fs, dir)
		for at != root {
			up := fs.PathDir(at)
			if up == at {
				break
			}
			if !slices.Contains(p.dirs[up], fs.PathBase(at)) {
				p.dirs[up] = append(p.dirs[up], fs.PathBase(at))
			}
			at = up
		}
	}
	return p
}

func (p *pooled) open(name string) (vfs.File, error) {
	if at, ok := p.paths[name]; ok {
		return p.fs.Open(at)
	}
	return nil, missing("open", name)
}

func (p *pooled) stat(name string) (vfs.FileInfo, error) {
	if at, ok := p.paths[name]; ok {
		return p.fs.Stat(at)
	}
	if _, ok := p.dirs[name]; ok {
		return p.fs.Stat(p.fs.PathDir(p.anyPath())) // any folder
	}
	return nil, missing("stat", name)
}

func (p *pooled) anyPath() string {
	for _, at := range p.paths {
		return at
	}
	return p.root
}

func (p *pooled) list(dir string) ([]string, error) {
	if names, ok := p.dirs[dir]; ok {
		return names, nil
	}
	return nil, missing("list", dir)
}

func (p *pooled) lock(string) (io.Closer, error) { return unlocked{}, nil }
