package main

import (
	"eyrie/appliance/config"
)

// serveCmd runs the appliance. What it does is in serve_linux.go; elsewhere it
// says that it needs Linux.
type serveCmd struct {
	config.Config
	File        string `name:"config" type:"existingfile" placeholder:"FILE" help:"YAML file; every key is also a flag and an EYRIE_… variable."`
	PrintConfig bool   `help:"Print the configuration in force, with where each value comes from, and end."`
	Demo        bool   `help:"Replay recorded real runs live, so that every page shows something."`
}
