package stretch

import "fmt"

// CorruptError tells which part of a stretch is damaged and how.
type CorruptError struct {
	Part string // index, key page or chunk
	Tier uint8  // of a chunk
	No   uint32 // of a chunk, within its tier
	Msg  string
}

// Error says what was found.
func (e *CorruptError) Error() string {
	if e.Part == partChunk {
		return fmt.Sprintf("stretch chunk %d of tier %d: %s", e.No, e.Tier, e.Msg)
	}
	return fmt.Sprintf("stretch %s: %s", e.Part, e.Msg)
}

// VersionError is returned for a part that a newer release wrote.
type VersionError struct {
	Part string
	Got  int
	Most int // that this release reads
}

// Error says which version was found and which is read.
func (e *VersionError) Error() string {
	return fmt.Sprintf("stretch %s has version %d, this release reads up to %d", e.Part, e.Got, e.Most)
}

const (
	partIndex = "index"
	partPage  = "key page"
	partChunk = "chunk"
)

func corrupt(part, format string, args ...any) error {
	return &CorruptError{Part: part, Msg: fmt.Sprintf(format, args...)}
}
