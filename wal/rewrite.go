package wal

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"eyrie/wal/stretch"
)

// A stretch that is written again gets chunks under other keys, beside the old
// ones. First is noted that it will be; then the new chunks come into the store in
// one step with the new summary and index; readers are told; the old chunks go; the
// note goes. A crash in between is made good at the next open. The note:
//
//	'v' base 8   gen 8 that it will have
const prefixRewrite = 'v'

// rewriting is a stretch being written again.
type rewriting struct {
	l      *Log
	was, s Stretch
	x      *stretch.Index // the new one
	t      tables
	tier   int // of the table being written
}

// begin notes that s will be written again. x is its index.
func (l *Log) rewrite(s Stretch, x *stretch.Index) (*rewriting, error) {
	fs, dir := l.o.FS, l.o.FS.PathJoin(l.dir, sealFolder)
	r := &rewriting{l: l, was: s, s: s, x: x.Copy(), t: tables{l: l, dir: dir}, tier: -1}
	r.s.gen++
	r.s.Bytes, r.s.IndexBytes = 0, 0
	return r, errors.Join(fs.RemoveAll(dir), fs.MkdirAll(dir, 0o755),
		l.db.Set(key8(prefixRewrite, s.Base), binary.LittleEndian.AppendUint64(nil, r.s.gen), pebble.Sync), l.Err())
}

// set puts down the value of chunk i of the index.
func (r *rewriting) set(i int, v []byte) error {
	c := &r.x.Chunks[i]
	if r.tier != int(c.Tier) {
		r.tier = int(c.Tier)
		if err := r.t.begin(); err != nil {
			return err
		}
	}
	r.s.Bytes += uint64(len(v))
	return r.t.set(r.s.chunkKey(c.Tier, c.No), v)
}

// keep puts down chunk i as it was; one that retention has dropped is not there.
func (r *rewriting) keep(i int) error {
	c := &r.x.Chunks[i]
	err := r.l.get(r.was.chunkKey(c.Tier, c.No), func(v []byte) error { return r.set(i, v) })
	if errors.Is(err, pebble.ErrNotFound) {
		return nil // dropped; or lost, and then the index still names it
	}
	return err
}

// end takes the place of the old one.
func (r *rewriting) end(ctx context.Context) error {
	l := r.l
	index := r.x.Append(nil)
	pages := make([][]byte, r.x.KeyPages())
	r.s.IndexBytes = uint64(len(index))
	for i := range pages {
		err := l.get(pageKey(r.was.Base, i), func(v []byte) error {
			pages[i] = bytes.Clone(v)
			return nil
		})
		if err != nil && !errors.Is(err, pebble.ErrNotFound) {
			return err
		}
		r.s.IndexBytes += uint64(len(pages[i]))
	}
	err := errors.Join(r.t.begin(), r.t.set(stretchKey(r.s.Base, partSummary), r.s.encode()), r.t.set(stretchKey(r.s.Base, partIndex), index))
	for i, p := range pages {
		if p != nil {
			err = errors.Join(err, r.t.set(pageKey(r.s.Base, i), p))
		}
	}
	if err = errors.Join(err, r.t.end()); err != nil {
		return err
	}
	if err := l.db.Ingest(ctx, r.t.paths); err != nil {
		return err
	}
	l.sealed.change(func(list []Stretch) []Stretch {
		if i := slices.IndexFunc(list, func(e Stretch) bool { return e.Base == r.s.Base }); i >= 0 {
			list[i] = r.s
		}
		return list
	})
	l.sealed.whole.forget(r.s.Base)
	return l.endRewrite(&r.s)
}

// close gives up what was not ended.
func (r *rewriting) close() error {
	return errors.Join(r.t.close(), r.l.o.FS.RemoveAll(r.t.dir))
}

// endRewrite takes away what s took the place of, and the note.
func (l *Log) endRewrite(s *Stretch) error {
	old := *s
	old.gen++ // of the same keys as the one before
	for tier := range uint8(64) {
		if s.Tiers>>tier&1 == 0 {
			continue
		}
		if err := l.excise(old.chunkKey(tier, 0), append(old.chunkKey(tier, ^uint32(0)), 0)); err != nil {
			return err
		}
	}
	return errors.Join(l.db.Delete(key8(prefixRewrite, s.Base), pebble.NoSync), l.Err())
}

// endRewrites ends what a crash has interrupted: where the new chunks are there the
// old ones go, and otherwise nothing had been changed.
func (l *Log) endRewrites() error {
	var bases, gens []uint64
	err := scan(l.db, prefixRewrite, func(k, v []byte) error {
		if len(k) != 9 || len(v) != 8 {
			return fmt.Errorf("the log's table of stretches being written again is damaged at %x", k)
		}
		bases, gens = append(bases, baseIn(k)), append(gens, binary.LittleEndian.Uint64(v))
		return nil
	})
	if err != nil {
		return err
	}
	for i, base := range bases {
		s, ok := l.stretchAt(base)
		if ok && s.Base == base && s.gen == gens[i] {
			err = l.endRewrite(&s)
		} else {
			err = l.db.Delete(key8(prefixRewrite, base), pebble.NoSync)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
