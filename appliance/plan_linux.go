package main

import (
	"eyrie/appliance/capacity"
	"eyrie/appliance/node"

	"golang.org/x/sys/unix"
)

// thisHost reads the machine, its disk where dir is or would be.
func thisHost(dir string) capacity.Host {
	h := node.ReadHost()
	var fs unix.Statfs_t
	if unix.Statfs(existing(dir), &fs) == nil {
		h.Disk, h.DiskFree = float64(fs.Blocks)*float64(fs.Bsize), float64(fs.Bavail)*float64(fs.Bsize)
	}
	return h
}
