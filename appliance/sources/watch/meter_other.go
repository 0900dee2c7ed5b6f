//go:build !linux

package watch

import "time"

// meter has nothing to read here: the OS tells the totals when the program ended.
type meter struct{}

func newMeter(int) *meter { return &meter{} }

func (*meter) read(time.Time) usage { return usage{} }
