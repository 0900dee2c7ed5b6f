// Package node builds the appliance from its parts, starts and stops them in
// order, and tunes them to the host.
//
// It owns the lifetimes: log, views, intake, engine, API, self-report; each
// part gets its clock, randomness, file system and metrics from here. node.go
// builds and runs, stop.go drains, tune.go chooses values for this host,
// self.go reports eyrie and its host as an agent, ready.go judges readiness.
// Node's methods may be called concurrently once Start has returned.
package node
