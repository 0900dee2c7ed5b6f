package main

import (
	"fmt"
	"os"
	"text/tabwriter"
)

type doctorCmd struct {
	Data  string `default:"./eyrie-data" placeholder:"DIR" help:"Data folder to check."`
	Links int    `default:"65000" placeholder:"N" help:"Connections the host should bear."`
	Fix   bool   `help:"Apply what root may change on the running system."`
	JSON  bool   `help:"Print JSON."`
}

// finding is one thing that was checked.
type finding struct {
	Check  string `json:"check"`
	Level  string `json:"level"` // ok, warn, bad
	Got    string `json:"got"`
	Want   string `json:"want,omitempty"`
	Advice string `json:"advice,omitempty"`
	Fixed  bool   `json:"fixed,omitempty"`
}

// Run checks and prints; it ends with 1 if something is bad.
func (c *doctorCmd) Run() error {
	fs := c.examine()
	bad := 0
	for _, f := range fs {
		if f.Level == "bad" {
			bad++
		}
	}
	if c.JSON {
		if err := printJSON(fs); err != nil {
			return err
		}
	} else {
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		mark := map[string]string{"ok": "✓", "warn": "!", "bad": "✗"}
		for _, f := range fs {
			state := f.Got
			if f.Want != "" {
				state += " (want " + f.Want + ")"
			}
			if f.Fixed {
				state += "  fixed"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\n", mark[f.Level], f.Check, state)
			if f.Advice != "" && f.Level != "ok" {
				fmt.Fprintf(w, "\t\t  → %s\n", f.Advice)
			}
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d checks are bad", bad, len(fs))
	}
	return nil
}
