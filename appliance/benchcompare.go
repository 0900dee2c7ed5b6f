package main

import (
	"encoding/json"
	"io"
	"os"

	"eyrie/bench/report"
)

// benchCompareCmd is `eyrie bench compare`.
type benchCompareCmd struct {
	A    string   `arg:"" placeholder:"A" help:"A report of eyrie bench in JSON, or a folder with several of the same measurement."`
	B    string   `arg:"" optional:"" placeholder:"B" help:"What to set beside it. Without it, or with more than these two, whether all of them agree."`
	More []string `arg:"" optional:"" placeholder:"C" help:"Further runs."`
	JSON bool     `help:"Print JSON."`
}

// Run compares.
func (c *benchCompareCmd) Run() error {
	a, err := report.Read(c.A)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if c.B == "" || len(c.More) > 0 {
		return c.agree(a)
	}
	b, err := report.Read(c.B)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	return c.write(report.Compare(c.A, a, c.B, b))
}

// agree says whether all runs agree.
func (c *benchCompareCmd) agree(runs []*report.Report) error {
	for _, path := range append([]string{c.B}, c.More...) {
		if path == "" {
			continue
		}
		more, err := report.Read(path)
		if err != nil {
			return &exitError{exitUsage, err}
		}
		runs = append(runs, more...)
	}
	if len(runs) < 2 {
		return exit(exitUsage, "%s: one run: there is nothing to set it beside", c.A)
	}
	return c.write(report.Agree(runs))
}

func (c *benchCompareCmd) write(r interface{ WriteText(io.Writer) error }) error {
	if !c.JSON {
		return r.WriteText(os.Stdout)
	}
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
