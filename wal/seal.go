package wal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"eyrie/wal/block"
	"eyrie/wal/stretch"
)

// SealOptions say how the log rewrites its old blocks. Zero values stand for
// the defaults named.
type SealOptions struct {
	// Bytes of blocks, as stored, make a stretch; default 64 MiB. Sealing and
	// reading one in order of offset takes some four times as much memory.
	Bytes int64
	// Tier tells how long a record is kept beside others: what is in tier 0 may
	// go first, up to 63. Default: all in tier 0. It must depend on nothing but
	// the envelope, and be cheap.
	Tier func(*Record) uint8
	// Unread tells the first offset that somebody has still to read in order, now
	// or after a crash; it is asked before each stretch. To such a reader a sealed
	// record costs several times what one in a block does, and sealing takes the CPU
	// that it waits for: what lies from there on stays in blocks, until these take a
	// large part of the disk. Default: nobody has.
	Unread func() uint64
	// Begin is called first on the log's own goroutine that seals, once, and never by
	// Seal: it may give its thread a place behind others'. Default: nothing.
	Begin func()
	// Off leaves the log as it is.
	Off bool
}

// sealer rewrites the log's oldest blocks as sealed stretches, on a goroutine of
// its own, one stretch after the other, as soon as enough of them lie behind
// those that the next Open will check.
//
// A stretch is decoded again and compared with its blocks, by a digest of every
// record, before it takes their place. Then, each step safe to stop behind: its
// tables come into the store in one step; readers are told; the blocks go.
type sealer struct {
	l    *Log
	wake chan struct{} // of room for one
	quit context.CancelFunc
	ctx  context.Context
	done chan struct{}
	hot  atomic.Int64 // bytes of headers and bodies not sealed, nearly
	due  atomic.Int32 // flushes of the store since it was tidied

	pressed pressure // of writers that had to wait for the log
	trailed pressure // of followers that come before it, and read blocks again from the store
	spare   int64    // bytes of the disk that blocks may take while they are read
	yields  bool     // to such writers and readers
	held    bool     // by readers, the last time that it was to seal
	w       *stretch.Writer
}

const sealFolder = "seal"

// prepare removes what an earlier life left and counts the blocks.
func (s *sealer) prepare(l *Log) error {
	s.l, s.done = l, make(chan struct{})
	s.ctx, s.quit = context.WithCancel(context.Background())
	s.yields = true
	if err := l.o.FS.RemoveAll(l.o.FS.PathJoin(l.dir, sealFolder)); err != nil {
		return fmt.Errorf("what an earlier sealing left: %w", err)
	}
	for _, prefix := range []byte{prefixHeader, prefixBody} {
		n, err := l.db.EstimateDiskUsage(key8(prefix, l.Sealed()), []byte{prefix + 1})
		if err != nil {
			return err
		}
		s.hot.Add(int64(n))
	}
	return nil
}

func (s *sealer) stop() {
	if s.done == nil {
		return
	}
	s.quit()
	s.l.await(s.done)
}

// grown tells that a commit of n bytes is durable.
func (s *sealer) grown(n int) {
	if s.hot.Add(int64(n)) > s.l.keptHot()+s.l.o.Seal.Bytes {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// flushed tells that the store has flushed a memtable.
func (s *sealer) flushed() {
	if s.due.Add(1) >= tidyEvery {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// tidy has the store tidied when it is due.
func (s *sealer) tidy() {
	if s.due.Load() < tidyEvery {
		return
	}
	s.due.Store(0)
	if err := s.l.tidy(s.ctx); err != nil && s.ctx.Err() == nil && s.l.o.Events.Background != nil {
		s.l.o.Events.Background(fmt.Errorf("tidy the store: %w", err))
	}
}

// keptHot is how many bytes of blocks stay: what the next open checks and folds.
func (l *Log) keptHot() int64 {
	if l.o.keptHot > 0 {
		return l.o.keptHot
	}
	return max(checkedBytes(&l.o), 2*l.o.CheckpointBytes)
}

// sealRetry is how long the sealer waits after an error.
const sealRetry = 30 * time.Second

func (s *sealer) run() {
	defer close(s.done)
	if s.l.o.Seal.Begin != nil {
		s.l.o.Seal.Begin()
	}
	s.grown(0)
	for {
		select {
		case <-s.wake:
		case <-s.ctx.Done():
			return
		}
		s.tidy()
		for !s.l.o.Seal.Off && s.hot.Load() > s.l.keptHot()+s.l.o.Seal.Bytes && s.ctx.Err() == nil && s.l.Err() == nil {
			sealed, err := false, error(nil)
			if s.held = s.readersFirst(); !s.held {
				// At least half: what is hot is counted but nearly.
				sealed, err = s.next(s.l.o.Seal.Bytes / 2)
			}
			if err != nil && s.ctx.Err() == nil {
				s.l.metrics.sealErrors.Inc()
				if f := s.l.o.Events.Background; f != nil {
					f(fmt.Errorf("seal: %w", err))
				}
				again := sealRetry
				if errors.Is(err, ErrDiskFull) {
					again = diskEvery
				}
				select {
				case <-time.After(again):
				case <-s.ctx.Done():
				}
			} else if !sealed && !s.held {
				break
			} else if !sealed {
				select {
				case <-time.After(sealUnreadEvery):
				case <-s.ctx.Done():
				}
			}
			s.tidy()
		}
	}
}

// Seal seals all that may be sealed now, in stretches of less than the usual
// size if need be, and returns when that is done. It may be called where
// SealOptions.Off is set, by one goroutine at a time; otherwise the log does so itself.
func (l *Log) Seal(ctx context.Context) error {
	s := sealer{l: l, ctx: ctx}
	for {
		if sealed, err := s.next(1); err != nil || !sealed {
			return err
		}
	}
}

// next seals one stretch of at least so many bytes, if there is that much.
func (s *sealer) next(least int64) (bool, error) {
	s.l.shaping.Lock()
	defer s.l.shaping.Unlock()
	begin := time.Now()
	if err := s.l.roomToSeal(); err != nil {
		return false, err
	}
	limit, err := s.limit()
	if err != nil || limit == 0 {
		return false, err
	}
	if s.w == nil {
		s.w = stretch.NewWriter(s.l.o.Seal.Tier)
	}
	defer s.w.Reset()
	st, sum, err := s.collect(limit)
	if err != nil || st.HotBytes == 0 || st.HotBytes < uint64(least) {
		return false, err
	}
	if err := s.write(&st, sum); err != nil {
		return false, err
	}
	m := s.l.metrics
	m.sealSeconds.UpdateDuration(begin)
	m.sealRecords.AddInt64(int64(st.Records))
	m.sealHot.AddInt64(int64(st.HotBytes))
	m.sealBytes.AddInt64(int64(st.Bytes + st.IndexBytes))
	return true, nil
}

// limit returns the offset up to which blocks may be sealed, 0 for none.
func (s *sealer) limit() (uint64, error) {
	s.measure()
	end, err := s.beforeKept()
	s.held = false
	if at, ok := s.unread(); err == nil && ok && at < end {
		end, s.held = at, true
	}
	if end <= s.l.Sealed() {
		end = 0
	}
	return end, err
}

// beforeKept returns the offset of the first block that the next open needs.
func (s *sealer) beforeKept() (_ uint64, err error) {
	it, err := s.l.headers(s.l.Sealed(), s.l.Next())
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	kept := int64(0)
	for ok := it.Last(); ok; ok = it.Prev() {
		var h block.Header
		if err := headerAt(it, &h); err != nil {
			return 0, err
		}
		if kept += int64(len(it.Value()) + h.BodyLen); kept > s.l.keptHot() {
			return h.Base, nil
		}
	}
	return 0, it.Error()
}

// collect gives the writer the blocks of the next stretch.
func (s *sealer) collect(limit uint64) (st Stretch, sum uint64, err error) {
	it, err := s.l.headers(s.l.Sealed(), limit)
	if err != nil {
		return st, 0, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok && st.HotBytes < uint64(s.l.o.Seal.Bytes); ok = it.Next() {
		if err := s.ctx.Err(); err != nil {
			return st, 0, err
		}
		s.giveWay()
		var h block.Header
		if err := headerAt(it, &h); err != nil {
			return st, 0, err
		}
		b, err := s.l.loadBody(&h)
		if err != nil {
			return st, 0, err
		}
		if st.Records == 0 {
			st.Base, st.RecvMin, st.chain = h.Base, h.RecvMin, h.Chain // a hole may lie before it
			if list := s.l.Stretches(); len(list) > 0 && list[len(list)-1].digest != h.Chain {
				return st, 0, fmt.Errorf("the block at offset %d does not follow from what is sealed", h.Base)
			}
		} else if h.Chain != st.digest {
			return st, 0, fmt.Errorf("the block at offset %d does not follow from those before it", h.Base)
		}
		s.w.Add(b)
		sum += stretch.Digest(b)
		st.Next, st.RecvMax, st.digest = h.Next(), h.RecvMax, h.Digest()
		st.Records += uint64(b.Len())
		st.HotBytes += uint64(len(it.Value()) + h.BodyLen)
	}
	return st, sum, it.Error()
}

// write makes the tables of a stretch, brings them into the store, and takes the
// blocks out.
func (s *sealer) write(st *Stretch, sum uint64) (err error) {
	l := s.l
	fs, dir := l.o.FS, l.o.FS.PathJoin(l.dir, sealFolder)
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	t := tables{l: l, dir: dir}
	defer func() { err = errors.Join(err, t.close(), fs.RemoveAll(dir)) }()
	var pages [][]byte
	emit := func(c *stretch.ChunkInfo, v []byte) error {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		s.giveWay()
		p, err := stretch.ProveChunk(c, v)
		if err != nil {
			return fmt.Errorf("what was just encoded cannot be read: %w", err)
		}
		sum -= p.Digest()
		st.Bytes += uint64(len(v))
		if bit := uint64(1) << (c.Tier & 63); st.Tiers&bit == 0 {
			st.Tiers |= bit
			if err := t.begin(); err != nil {
				return err
			}
		}
		return t.set(st.chunkKey(c.Tier, c.No), v)
	}
	page := func(_ int, v []byte) error {
		pages = append(pages, slices.Clone(v))
		return nil
	}
	x, err := s.w.Finish(stretch.Stamp{LogID: l.id, Epoch: l.Epoch(), Chain: st.chain, Digest: st.digest}, emit, page)
	if err != nil {
		return err
	}
	if sum != 0 {
		return errors.New("what was sealed is not what the blocks hold")
	}
	index := x.Append(nil)
	if _, err := stretch.DecodeIndex(index); err != nil {
		return fmt.Errorf("what was just encoded cannot be read: %w", err)
	}
	st.IndexBytes = uint64(len(index))
	for _, p := range pages {
		st.IndexBytes += uint64(len(p))
	}
	if err := t.begin(); err != nil {
		return err
	}
	err = errors.Join(t.set(stretchKey(st.Base, partSummary), st.encode()), t.set(stretchKey(st.Base, partIndex), index))
	for i, p := range pages {
		err = errors.Join(err, t.set(pageKey(st.Base, i), p))
	}
	if err = errors.Join(err, t.end()); err != nil {
		return err
	}
	if err := l.db.Ingest(s.ctx, t.paths); err != nil {
		return err
	}
	l.sealed.change(func(list []Stretch) []Stretch { return append(list, *st) })
	l.sealer.hot.Add(-int64(st.HotBytes))
	return l.dropBlocks(st.Next)
}

// dropBlocks takes blocks below the offset out of the store, and gives their
// space back. What stands in the place of first bodies goes the same way, after them:
// were it deleted in the write-ahead log, a store whose MANIFEST has lost its end
// would have such blocks again and not what describes their bodies.
func (l *Log) dropBlocks(below uint64) error {
	prefixes := []byte{prefixBody, prefixHeader}
	if _, _, any, err := l.amendedRange(); err != nil {
		return err
	} else if any {
		prefixes = append(prefixes, prefixAmend)
	}
	for _, prefix := range prefixes {
		if err := l.excise(key8(prefix, 0), key8(prefix, below)); err != nil {
			return err
		}
	}
	return l.Err()
}
