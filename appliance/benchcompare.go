package main

import (
	"encoding/json"
	"os"

	"eyrie/bench/report"
)

// benchCompareCmd is `eyrie bench compare`.
type benchCompareCmd struct {
	A    string `arg:"" placeholder:"A" help:"A report of eyrie bench in JSON, or a folder with several of the same measurement."`
	B    string `arg:"" placeholder:"B" help:"What to set beside it."`
	JSON bool   `help:"Print JSON."`
}

// Run compares.
func (c *benchCompareCmd) Run() error {
	a, err := report.Read(c.A)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	b, err := report.Read(c.B)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	r := report.Compare(c.A, a, c.B, b)
	if !c.JSON {
		return r.WriteText(os.Stdout)
	}
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
