package wal

import (
	"errors"
	"fmt"
)

var (
	// ErrInUse is returned by Open when another process, or another Log of
	// this one, holds the folder.
	ErrInUse = errors.New("the log's folder is in use by another eyrie")
	// ErrClosed is returned once the log is closed.
	ErrClosed = errors.New("the log is closed")
	// ErrFailed is wrapped by every error that follows a failed write or sync:
	// the log takes nothing more and acknowledges nothing more until it is
	// opened again.
	ErrFailed = errors.New("the log has failed")
	// ErrEpochLow is returned by Writer.Fence when the producer has already
	// been seen with a higher epoch.
	ErrEpochLow = errors.New("the producer has been seen with a higher epoch")
	// ErrDiskFull is what Writer.Wall wraps while there is too little room.
	ErrDiskFull = errors.New("the disk is below its watermark")
	// ErrNoRoom is returned by Open where the disk has less free than the store
	// needs to recover.
	ErrNoRoom = errors.New("the disk has too little room to open the log")
	// ErrNotFound is returned by Read for an offset that is not in the log.
	ErrNotFound = errors.New("no such offset in the log")
)

// NewerFormatError is returned by Open for a folder that a newer release wrote.
type NewerFormatError struct {
	What      string // mark, log or store
	Got, Most uint64 // version found, newest this release reads
}

// Error says which format was found and which is read.
func (e *NewerFormatError) Error() string {
	return fmt.Sprintf("the log was written by a newer eyrie: %s format %d, this release reads up to %d", e.What, e.Got, e.Most)
}

// LostError is returned by Open when records that the mark vouches for are not
// in the log, and by readers that come upon such a hole. Offsets From..To were
// acknowledged and are gone or not what was acknowledged; From is 0 where the
// range cannot be known. With Records, only so many of them are: those of some
// agents, which Reason names; a reader goes on to the others by itself.
type LostError struct {
	From, To uint64
	Records  int
	Epoch    uint32
	Reason   string
}

// Error names the range.
func (e *LostError) Error() string {
	if e.From == 0 {
		return "the log may have lost acknowledged records: " + e.Reason
	}
	if e.Records > 0 {
		return fmt.Sprintf("the log lost %d acknowledged records among offsets %d to %d: %s", e.Records, e.From, e.To, e.Reason)
	}
	if e.Epoch == 0 {
		return fmt.Sprintf("the log lost acknowledged records: offsets %d to %d: %s", e.From, e.To, e.Reason)
	}
	return fmt.Sprintf("the log lost acknowledged records: offsets %d to %d of epoch %d: %s", e.From, e.To, e.Epoch, e.Reason)
}
