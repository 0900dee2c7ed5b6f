//go:build !linux

package wire

import "time"

var began = time.Now()

// threadTime is the time since the start, where a thread's own is not known.
func threadTime() time.Duration { return time.Since(began) }
