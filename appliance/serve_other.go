//go:build !linux

package main

// Run says that the appliance needs Linux.
func (c *serveCmd) Run() error {
	return exit(exitFailed, "eyrie serve needs Linux (epoll); on this system eyrie is a client: eyrie follow, watch, send, tail … --server URL")
}
