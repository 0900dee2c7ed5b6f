// Package obs holds what every part of the appliance reports through: the
// logger, the registry of eyrie's own metrics, and the stamp of the build.
//
// It owns no goroutine and reads no configuration; the node passes it what it
// needs. Library packages do not log: they report through hooks, and the node
// writes those hooks to this logger. All of it may be used concurrently.
package obs
