//go:build !linux

package main

import (
	"runtime"

	"eyrie/appliance/capacity"
)

// thisHost knows the cores alone: the appliance runs on Linux, so that the host
// that is planned for is another one.
func thisHost(string) capacity.Host { return capacity.Host{Cores: float64(runtime.NumCPU())} }
