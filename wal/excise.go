package wal

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// excise takes the keys start ≤ key < end, which begin with one byte, out of the
// store and gives their space back at once.
//
// Of a table that lies across an end of the range, the store looks up where the
// rest begins. What it cannot read there it takes for nothing, and the whole rest
// of the table is gone, without a word. So the keys beside the range are read
// before: damage there is an error, and nothing is taken out. A read that fails
// meanwhile fails the log, and the store cannot write down what it has decided
// (see stopFS). And what stood beside the range has to stand there afterwards.
func (l *Log) excise(start, end []byte) error {
	left, right, err := l.beside(start, end)
	if err != nil {
		return fmt.Errorf("beside what is to be dropped: %w", err)
	}
	l.excising.Add(1)
	err = l.db.Excise(context.Background(), pebble.KeyRange{Start: start, End: end})
	l.excising.Add(-1)
	if err = errors.Join(err, l.Err()); err != nil {
		return err
	}
	nowLeft, nowRight, err := l.beside(start, end)
	if err != nil {
		return err
	}
	for _, k := range [][2][]byte{{left, nowLeft}, {right, nowRight}} {
		if k[0] != nil && !bytes.Equal(k[0], k[1]) {
			l.fail(fmt.Errorf("the store has dropped more than the keys from %x to %x: %x is gone", start, end, k[0]))
		}
	}
	return l.Err()
}

// beside returns the last key before start and the first one from end on, with
// the same first byte; nil for none.
func (l *Log) beside(start, end []byte) (left, right []byte, err error) {
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: start[:1], UpperBound: []byte{start[0] + 1}})
	if err != nil {
		return nil, nil, err
	}
	if it.SeekLT(start) {
		left = bytes.Clone(it.Key())
	}
	if err = it.Error(); err == nil && it.SeekGE(end) {
		right = bytes.Clone(it.Key())
	}
	return left, right, errors.Join(err, it.Error(), it.Close())
}

// readFailed is told of what the store could not read.
func (l *Log) readFailed(err error) {
	if l.excising.Load() > 0 {
		l.fail(fmt.Errorf("a table cannot be read while a part of it is dropped: %w", err))
	}
}
