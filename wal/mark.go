package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The mark says up to where the log was durable when something was last
// acknowledged. The store can lose a damaged tail without a word; the mark
// cannot be lost with it. It is a file of its own, written after the store's
// sync and synced before the acknowledgement:
//
//	8 slots of 4,096 bytes, overwritten in turn, so that a torn write leaves the
//	one before. A slot, little-endian:
//	 0  4  magic "eyrM"
//	 4  4  version, 3; 1 before block headers of version 2, 2 before chunks with filters
//	 8 16  log id
//	24  8  generation: slot = generation % 8; the highest valid one counts
//	32  4  epoch
//	36  4  zero
//	40  8  next: first offset that is not vouched for
//	48  8  digest of all block headers below next (block.Header.Digest)
//	56  4  CRC32C of the 56 bytes before
//
// Its version rises with any format of the log, so that an older release says
// so before it touches anything.
const (
	markName    = "mark"
	markMagic   = "eyrM"
	markVersion = 3
	markSlots   = 8
	markStride  = 4096
	markBytes   = 60
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type mark struct {
	log        [16]byte
	generation uint64
	epoch      uint32
	next       uint64
	digest     uint64
}

func (m *mark) encode(p *[markBytes]byte) {
	le := binary.LittleEndian
	*p = [markBytes]byte{}
	copy(p[:], markMagic)
	le.PutUint32(p[4:], markVersion)
	copy(p[8:24], m.log[:])
	le.PutUint64(p[24:], m.generation)
	le.PutUint32(p[32:], m.epoch)
	le.PutUint64(p[40:], m.next)
	le.PutUint64(p[48:], m.digest)
	le.PutUint32(p[56:], crcOf(p[:56]))
}

// decode reports whether p is a valid slot; a valid one of a newer version is
// an error.
func (m *mark) decode(p []byte) (bool, error) {
	le := binary.LittleEndian
	if string(p[:4]) != markMagic {
		return false, nil
	}
	if le.Uint32(p[56:]) != crcOf(p[:56]) {
		return false, nil
	}
	if v := le.Uint32(p[4:]); v > markVersion {
		return false, &NewerFormatError{What: "mark", Got: uint64(v), Most: markVersion}
	}
	copy(m.log[:], p[8:24])
	m.generation = le.Uint64(p[24:])
	m.epoch = le.Uint32(p[32:])
	m.next = le.Uint64(p[40:])
	m.digest = le.Uint64(p[48:])
	return true, nil
}

// errMarkDamaged tells that the file is there and no slot of it is valid.
var errMarkDamaged = errors.New("no slot of the mark file is valid")

// readMark returns the newest valid mark. The error is one of the file
// system's (oserror.IsNotExist if there is no file), errMarkDamaged or *NewerFormatError.
func readMark(fs vfs.FS, dir string) (mark, error) {
	f, err := fs.Open(fs.PathJoin(dir, markName))
	if err != nil {
		return mark{}, err
	}
	defer f.Close()
	var best mark
	for i := range markSlots {
		var p [markBytes]byte
		if n, _ := f.ReadAt(p[:], int64(i)*markStride); n < len(p) {
			continue // a slot that cannot be read counts as one that is torn
		}
		var m mark
		ok, err := m.decode(p[:])
		if err != nil {
			return mark{}, err
		}
		if ok && m.generation%markSlots == uint64(i) && m.generation > best.generation {
			best = m
		}
	}
	if best.generation == 0 {
		return mark{}, errMarkDamaged
	}
	return best, nil
}

// markFile is the file opened for writing. One goroutine writes.
type markFile struct {
	f      vfs.File
	last   mark
	faults *faults
}

// createMark makes the file, all slots zero but the first one used, and syncs it and its folder.
func createMark(fs vfs.FS, dir string, m mark, fl *faults) (*markFile, error) {
	name := fs.PathJoin(dir, markName)
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, fmt.Errorf("create mark: %w", err)
	}
	if _, err = f.Write(make([]byte, markSlots*markStride)); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("create mark: %w", err)
	}
	if !fl.skipMarkDirSync {
		if err := syncDir(fs, dir); err != nil {
			return nil, err
		}
	}
	mf, err := openMark(fs, dir, mark{log: m.log}, fl)
	if err != nil {
		return nil, err
	}
	if err := mf.write(m); err != nil {
		return nil, errors.Join(err, mf.f.Close())
	}
	return mf, nil
}

// openMark opens the file whose newest mark is last.
func openMark(fs vfs.FS, dir string, last mark, fl *faults) (*markFile, error) {
	f, err := fs.OpenReadWrite(fs.PathJoin(dir, markName), vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, fmt.Errorf("open mark: %w", err)
	}
	return &markFile{f: f, last: last, faults: fl}, nil
}

// write makes m, with the generation after the last one, durable.
func (mf *markFile) write(m mark) error {
	m.generation = mf.last.generation + 1
	var p [markBytes]byte
	m.encode(&p)
	if _, err := mf.f.WriteAt(p[:], int64(m.generation%markSlots)*markStride); err != nil {
		return fmt.Errorf("write mark: %w", err)
	}
	if !mf.faults.skipMarkSync {
		if err := mf.f.SyncData(); err != nil {
			return fmt.Errorf("sync mark: %w", err)
		}
	}
	mf.last = m
	return nil
}

func (mf *markFile) close() error { return mf.f.Close() }

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	if err = errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	return nil
}

func crcOf(p []byte) uint32 { return crc32.Checksum(p, castagnoli) }
