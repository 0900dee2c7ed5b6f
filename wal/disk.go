package wal

import "fmt"

// checkDisk raises or takes away the wall. A disk that cannot be asked is taken
// to have room: writing to it will tell.
func (l *Log) checkDisk() {
	free, err := l.o.DiskFree(l.dir)
	if err != nil {
		return
	}
	full, was := free < l.o.DiskMin, l.Wall() != nil
	if full {
		e := fmt.Errorf("%w: %d bytes are free, %d are wanted", ErrDiskFull, free, l.o.DiskMin)
		l.wall.Store(&e)
	} else {
		l.wall.Store(nil)
	}
	if full != was && l.o.Events.Wall != nil {
		l.o.Events.Wall(full, free, l.o.DiskMin)
	}
}
