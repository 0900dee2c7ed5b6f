//go:build !linux

package main

import "runtime"

func (c *doctorCmd) examine() []finding {
	return []finding{{Check: "system", Level: "warn", Got: runtime.GOOS, Want: "linux", Advice: "eyrie serve needs Linux; the client verbs work here"}}
}
