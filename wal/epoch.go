package wal

// Parts returns the offset at which the log's history left that of an epoch:
// offsets below it are the same in both. false: no such epoch, or the current one.
func (l *Log) Parts(epoch uint32) (off uint64, ok bool) {
	known := false
	for _, e := range l.epochs {
		switch {
		case e.Epoch == epoch:
			known = true
		case e.Epoch > epoch && (!ok || e.First < off):
			off, ok = e.First, true
		}
	}
	if !known || !ok {
		return 0, false
	}
	return off, true
}
