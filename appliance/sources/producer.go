package sources

import (
	"strings"

	"github.com/google/uuid"
)

// producerSpace is the UUIDv5 namespace of producers. It never changes: a new one would make every follower start over.
var producerSpace = uuid.MustParse("6f1d2a52-54c3-5b0e-9d0b-6a0f5a2c7e11")

// Producer returns the same id for the same parts (source, host, path, …) on every start, so that the server
// finds the position and the numbers of the run before.
func Producer(parts ...string) uuid.UUID {
	return uuid.NewSHA1(producerSpace, []byte(strings.Join(parts, "\x00")))
}
