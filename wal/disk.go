package wal

import (
	"fmt"
	"strings"
)

// roomToRecover refuses to open a store whose recovery, which writes what was in
// memory into tables, would run into a full disk: the store tries that for ever.
func (l *Log) roomToRecover() error {
	free, err := l.o.DiskFree(l.dir)
	if free < l.o.DiskMin && l.ballast.drop() {
		free, err = l.o.DiskFree(l.dir)
	}
	if err != nil {
		return nil // a file system that cannot say has no such bound
	}
	var pending uint64
	names, err := l.o.FS.List(l.o.FS.PathJoin(l.dir, storeName))
	if err != nil {
		return nil // there is no store yet
	}
	for _, n := range names {
		if strings.HasSuffix(n, ".log") {
			if st, err := l.o.FS.Stat(l.o.FS.PathJoin(l.dir, storeName, n)); err == nil {
				pending += uint64(st.Size())
			}
		}
	}
	if least := min(pending, uint64(4*l.o.MemtableBytes)); free < least {
		return fmt.Errorf("%w: %d bytes are free, up to %d are needed to recover", ErrNoRoom, free, least)
	}
	return nil
}

// checkDisk raises or takes away the wall. A disk that cannot be asked is taken
// to have room: writing to it will tell.
func (l *Log) checkDisk() {
	free, err := l.o.DiskFree(l.dir)
	if err != nil {
		return
	}
	least, was := l.o.DiskMin, l.Wall() != nil
	if was && !l.ballast.held() {
		least += 2 * uint64(l.o.BallastBytes) // there is room again once the ballast has some, too
	}
	full := free < least
	if !full {
		l.ballast.makeSoon(free, l.o.DiskMin, func(err error) {
			if f := l.o.Events.Background; f != nil {
				f(err)
			}
		})
	}
	if full {
		e := fmt.Errorf("%w: %d bytes are free, %d are wanted", ErrDiskFull, free, least)
		l.wall.Store(&e)
	} else {
		l.wall.Store(nil)
	}
	if full != was && l.o.Events.Wall != nil {
		l.o.Events.Wall(full, free, least)
	}
}

// diskFull is called when a write has found no room, before it is tried again.
func (l *Log) diskFull() {
	l.metrics.diskFull.Inc()
	l.ballast.drop()
	e := fmt.Errorf("%w: a write found no room", ErrDiskFull)
	if l.wall.Swap(&e) == nil && l.o.Events.Wall != nil {
		l.o.Events.Wall(true, 0, l.o.DiskMin)
	}
}

// roomToSeal tells why a stretch should not be written now: it takes room before
// it gives more back. So it goes on below the watermark, down to half of it.
func (l *Log) roomToSeal() error {
	free, err := l.o.DiskFree(l.dir)
	if err == nil && free < l.o.DiskMin/2+uint64(min(l.o.Seal.Bytes, l.sealer.hot.Load())) {
		return fmt.Errorf("%w: %d bytes are free", ErrDiskFull, free)
	}
	return nil
}
