package chunk

import "errors"

// ErrCorrupt is returned (wrapped, with what was found) by Decode, Peek and
// DecodeStream for bytes that are damaged or were never a chunk.
var ErrCorrupt = errors.New("chunk: corrupt")

// ErrVersion is returned by Decode and Peek for a chunk of a newer format.
var ErrVersion = errors.New("chunk: unknown format version")
