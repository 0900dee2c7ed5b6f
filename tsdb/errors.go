package tsdb

import "errors"

// ErrCorrupt is returned (wrapped, naming the row) by Load and the queries for
// a stored row that is damaged. For a damaged chunk queries return chunk.ErrCorrupt.
var ErrCorrupt = errors.New("tsdb: corrupt row")

// ErrVersion is returned by Load for rows of a newer format.
var ErrVersion = errors.New("tsdb: unknown row version")
