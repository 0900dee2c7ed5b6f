//go:build !linux

package bench

import (
	"os"
	"time"
)

func selfCPU() time.Duration { return 0 }

func threadCPU() time.Duration { return 0 }

func dataSync(f *os.File) error { return f.Sync() }

func descriptorsMax() uint64 { return 0 }

func memoryAvailable() uint64 { return 0 }
