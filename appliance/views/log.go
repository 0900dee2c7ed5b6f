package views

import "eyrie/wal"

// FromLog makes a Log of the real one.
func FromLog(l *wal.Log) Log { return realLog{l} }

type realLog struct{ *wal.Log }

// Follow returns a follower from that offset on.
func (l realLog) Follow(from uint64) Follower { return l.Log.Follow(from).BeforeSealing() }
