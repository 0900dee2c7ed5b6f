package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"
)

type forgetCmd struct {
	serverFlags
	Agent  string `xor:"what" placeholder:"SPACE/ID" help:"Agent to forget: all that it sent."`
	OfRun  string `name:"run" xor:"what" placeholder:"SPACE/ID" help:"Run to forget: all events that name it."`
	List   bool   `xor:"what" help:"List what was forgotten, and what is to be."`
	Reason string `placeholder:"TEXT" help:"Why; it is kept, and may be read by every admin."`
	NoWait bool   `help:"Do not wait until it is done."`
	JSON   bool   `help:"Print JSON."`
}

// forgotten is what was forgotten, or is to be, as the API shows it.
type forgotten struct {
	Offset  uint64  `json:"offset"`
	What    string  `json:"what"`
	Space   string  `json:"space"`
	ID      string  `json:"id"`
	State   string  `json:"state"`
	Records uint64  `json:"records"`
	Bytes   uint64  `json:"bytes"`
	Reason  string  `json:"reason"`
	By      string  `json:"by"`
	At      float64 `json:"at_ms"`
	Done    float64 `json:"done_ms,omitempty"`
	Error   string  `json:"error,omitempty"`
}

// Run has an agent or a run forgotten, and waits until it is.
func (c *forgetCmd) Run(ctx context.Context) error {
	if c.List {
		return c.list(ctx)
	}
	kind, of := "agents", c.Agent
	if c.OfRun != "" {
		kind, of = "runs", c.OfRun
	}
	space, id, ok := strings.Cut(of, "/")
	if !ok || space == "" || id == "" {
		return exit(exitUsage, "--agent SPACE/ID or --run SPACE/ID is wanted")
	}
	if c.Reason == "" {
		return exit(exitUsage, "--reason is wanted: it stays where the rest goes")
	}
	var f forgotten
	path := "/v1/" + kind + "/" + url.PathEscape(space) + "/" + url.PathEscape(id) + "/forget"
	if err := c.call(ctx, "operator", "POST", path, map[string]any{"reason": c.Reason}, &f); err != nil {
		return err
	}
	for wait := 50 * time.Millisecond; !c.NoWait && f.State != "done" && f.State != "failed"; wait = min(2*wait, time.Second) {
		select {
		case <-ctx.Done():
			return errors.New("not waited for: the server goes on, eyrie forget --list tells how far it is")
		case <-time.After(wait):
		}
		all, err := c.all(ctx)
		if err != nil {
			return err
		}
		for i := range all {
			if all[i].Offset == f.Offset {
				f = all[i]
			}
		}
	}
	if c.JSON {
		if err := printJSON(f); err != nil {
			return err
		}
	} else if f.State == "done" {
		fmt.Printf("forgotten: %s %s/%s, %d records, %d bytes; the log says so at offset %d\n", f.What, plain(f.Space), plain(f.ID), f.Records, f.Bytes, f.Offset)
	} else {
		fmt.Printf("%s: %s %s/%s\n", f.State, f.What, plain(f.Space), plain(f.ID))
	}
	if f.Error != "" {
		return errors.New(f.Error)
	}
	return nil
}

func (c *forgetCmd) all(ctx context.Context) ([]forgotten, error) {
	var page struct {
		Items []forgotten `json:"items"`
	}
	err := c.call(ctx, "operator", "GET", "/v1/forgets", nil, &page)
	return page.Items, err
}

func (c *forgetCmd) list(ctx context.Context) error {
	all, err := c.all(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(all)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "OFFSET\tASKED\tWHAT\tSTATE\tRECORDS\tBYTES\tBY\tREASON\tERROR")
	for _, f := range all {
		fmt.Fprintf(w, "%d\t%s\t%s %s/%s\t%s\t%d\t%d\t%s\t%s\t%s\n", f.Offset, time.UnixMilli(int64(f.At)).Format("2006-01-02 15:04:05"),
			f.What, plain(f.Space), plain(f.ID), f.State, f.Records, f.Bytes, plain(f.By), plain(f.Reason), plain(f.Error))
	}
	return w.Flush()
}
