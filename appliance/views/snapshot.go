package views

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"eyrie/wal/block"
)

// Snapshot is what a store holds of a fold.
type Snapshot struct {
	Name    string
	Version uint32
	Log     [16]byte
	Epoch   uint32
	Next    uint64 // first offset that is not in it
	// From is the first offset that Digests are of; 0 for none.
	From    uint64
	Digests *block.Digests
}

// Snapshots returns the snapshots in a store, by name. A cursor that cannot be
// read is an error that names it; the others are returned all the same.
func Snapshots(r pebble.Reader) (ss []Snapshot, err error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: []byte{keyPrefix, keyCursor}, UpperBound: []byte{keyPrefix, keyCursor + 1}})
	if err != nil {
		return nil, err
	}
	for ok := it.First(); ok; ok = it.Next() {
		name := string(it.Key()[2:])
		v, bad := it.ValueAndErr()
		var c cursor
		if bad == nil {
			c, bad = parseCursor(v)
		}
		s := Snapshot{Name: name, Version: c.version, Log: c.log, Epoch: c.epoch, Next: c.next, From: c.digests}
		if bad == nil && c.digests != 0 {
			s.Digests, bad = readDigests(r, name)
		}
		if bad != nil {
			err = errors.Join(err, fmt.Errorf("view %s: %w", name, bad))
			continue
		}
		ss = append(ss, s)
	}
	return ss, errors.Join(err, it.Error(), it.Close())
}
