package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"eyrie/bench"
	"eyrie/bench/report"
)

// benchCapacityCmd is `eyrie bench` itself.
type benchCapacityCmd struct {
	benchFlags
	clientsFlag
	Links  int           `default:"100000" placeholder:"N" help:"How many connections are tried at most."`
	Budget time.Duration `placeholder:"TIME" help:"The time after which all has ended and is reported; what it is too short for is named. Without it, 19m0s, or 2m40s with --quick."`
	Out    string        `default:"." type:"newdir" placeholder:"DIR" help:"Where to leave the report: eyrie-bench-TIME.html and .json."`
}

// Run measures every part, writes the report and prints what it comes to.
func (c *benchCapacityCmd) Run(ctx context.Context) error {
	if c.Links < rampMin {
		return exit(exitUsage, "--links %d: want at least %d", c.Links, rampMin)
	}
	common, err := c.common()
	if err != nil {
		return err
	}
	common.Clients = c.Clients
	if c.Budget == 0 {
		if c.Budget = bench.BudgetWhole; c.Quick {
			c.Budget = bench.BudgetQuick
		}
	}
	if c.Budget < bench.BudgetMin {
		return exit(exitUsage, "--budget %v: want at least %v", c.Budget, bench.BudgetMin)
	}
	rep, runErr := bench.Capacity{Common: common, Quick: c.Quick, Links: c.Links, Budget: c.Budget, Viewers: []string{"bench", "viewers"}, Samples: []string{"bench", "series-child"}, Step: func(what string) {
		if common.Progress != nil {
			common.Progress("")
		}
		fmt.Fprintln(os.Stderr, what)
	}}.Run(ctx)
	if rep == nil {
		return runErr
	}
	if common.Progress != nil {
		common.Progress("")
	}
	stem := filepath.Join(c.Out, "eyrie-bench-"+rep.At.Format("20060102-150405"))
	page := stem + ".html"
	if c.HTML != "" {
		page = c.HTML
	}
	if err := writeFile(stem+".json", rep.WriteJSON); err != nil {
		return err
	}
	if err := writeFile(page, rep.WriteHTML); err != nil {
		return err
	}
	if c.JSON {
		if err := rep.WriteJSON(os.Stdout); err != nil {
			return err
		}
		return runErr
	}
	if err := summary(rep).WriteText(os.Stdout); err != nil {
		return err
	}
	fmt.Printf("\nreport    %s\nfigures   %s.json   (eyrie plan --from reckons with them, eyrie bench compare sets them beside others)\n", page, stem)
	return runErr
}

// summary is a run without its parts, which the page has.
func summary(r *report.Report) *report.Report {
	s := *r
	s.Parts = nil
	return &s
}
