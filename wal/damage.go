package wal

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"eyrie/wal/block"
	"eyrie/wal/stretch"
)

// behind returns the base of the first key below the prefix that can be read
// behind a damage at from, or false where there is none, and where it gave up.
func (l *Log) behind(prefix byte, from uint64) (base uint64, ok bool) {
	try := func(at uint64) (base uint64, some bool, err error) {
		it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: key8(prefix, at), UpperBound: []byte{prefix + 1}})
		if err != nil {
			return 0, false, err
		}
		if it.First() {
			base, some = baseIn(it.Key()[:9]), true
		}
		err = it.Error()
		_ = it.Close() // says the same again
		return base, some, err
	}
	bad, step := from, uint64(1)
	good := bad + step
	for ; good < OffsetMax; good = bad + step {
		if _, _, err := try(good); err == nil {
			break
		}
		bad, step = good, 2*step
	}
	if good >= OffsetMax {
		return from + 1, false
	}
	for good-bad > 1 {
		mid := bad + (good-bad)/2
		if _, _, err := try(mid); err == nil {
			good = mid
		} else {
			bad = mid
		}
	}
	if base, ok, _ = try(good); !ok {
		return good, false
	}
	return base, true
}

// damaged tells whether the error of a block, or of a part of a stretch, says that it is
// damaged or gone, and not that it cannot be read just now.
func damaged(err error) bool {
	var bad *block.CorruptError
	var part *stretch.CorruptError
	return errors.As(err, &bad) || errors.As(err, &part) || pebble.IsCorruptionError(err) || errors.Is(err, pebble.ErrNotFound)
}

// asLoss makes a table of the store that cannot be read, which Open came upon, a
// loss: it can be accepted, and verify tells what the table held.
func (l *Log) asLoss(err error) error {
	var lost *LostError
	var newer *NewerFormatError
	if l.db == nil || errors.As(err, &lost) || errors.As(err, &newer) || !pebble.IsCorruptionError(err) {
		return err
	}
	return &LostError{Reason: fmt.Sprintf("a file of the store is damaged, verify names what it held: %s", brief(err))}
}
