package block

import "fmt"

// CorruptError tells which part of a block is damaged and how.
type CorruptError struct {
	Part string // header or body
	Base uint64 // offset of the block's first record, 0 when the header itself cannot be trusted
	Msg  string
}

// Error says what was found.
func (e *CorruptError) Error() string {
	if e.Base == 0 {
		return fmt.Sprintf("block %s: %s", e.Part, e.Msg)
	}
	return fmt.Sprintf("block %s at offset %d: %s", e.Part, e.Base, e.Msg)
}

// VersionError is returned for a block that a newer release wrote.
type VersionError struct {
	Part string
	Got  int
	Most int // that this release reads
}

// Error says which version was found and which is read.
func (e *VersionError) Error() string {
	return fmt.Sprintf("block %s has version %d, this release reads up to %d", e.Part, e.Got, e.Most)
}

func badHeader(format string, args ...any) error {
	return &CorruptError{Part: "header", Msg: fmt.Sprintf(format, args...)}
}

func badBody(base uint64, format string, args ...any) error {
	return &CorruptError{Part: "body", Base: base, Msg: fmt.Sprintf(format, args...)}
}
