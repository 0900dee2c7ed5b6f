package main

import (
	"context"
	"fmt"

	"eyrie/appliance/vault"
)

type verifyCmd struct {
	Data    string `default:"./eyrie-data" placeholder:"DIR" help:"Data folder of a stopped eyrie. Nothing in it is changed."`
	Backups string `placeholder:"DIR" help:"Verify a backup in this folder instead."`
	Backup  string `placeholder:"NAME" help:"Which of them, as backup --list shows it; the newest by default."`
	JSON    bool   `help:"Print JSON."`
}

// exitDamaged is verify's code for a folder in which something is not as it was
// written.
const exitDamaged = 1

// Run reads everything and names what is damaged.
func (c *verifyCmd) Run(ctx context.Context) error {
	if c.Backup != "" && c.Backups == "" {
		return exit(exitUsage, "--backup: name the folder of backups with --backups")
	}
	what := c.Data
	if c.Backups != "" {
		what = c.Backups
	}
	show := newProgress("verify")
	r, err := vault.Verify(ctx, vault.Subject{Data: c.Data, Backups: c.Backups, Backup: c.Backup}, show.offsets)
	show.end()
	if err != nil {
		if err := stored(what, err); exitCodeOf(err) != exitFailed {
			return err
		}
		return exit(exitData, "%s: %v", what, err)
	}
	code := exitCode(0)
	switch {
	case r.Unopened != "":
		code = exitData
	case !r.Intact:
		code = exitDamaged
	}
	if c.JSON {
		if err := printJSON(r); err != nil {
			return err
		}
	} else {
		printReport(what, r)
	}
	if code != 0 {
		return code
	}
	return nil
}

func printReport(what string, r *vault.Report) {
	for _, d := range r.Damages {
		fmt.Println(plain(d.Text))
	}
	if r.More > 0 {
		fmt.Printf("and %d more\n", r.More)
	}
	if r.Unopened != "" {
		fmt.Printf("%s cannot be opened, so its records were not looked at\n", what)
		return
	}
	for _, l := range r.Known {
		fmt.Printf("known loss: offsets %d to %d of epoch %d: %s\n", l.From, l.To, l.Epoch, plain(l.Reason))
	}
	fmt.Printf("%s: log %s, epoch %d, offsets %d to %d\n", what, r.Log, r.Epoch, r.First, r.Next-1)
	fmt.Printf("%d records in %d blocks and %d sealed stretches, %s; %d agents, %d numbers, %d audit entries, %d blobs, %d views\n",
		r.Records, r.Blocks, r.Sealed, size(r.Bytes), r.Agents, r.Numbers, r.Audit, r.Blobs, len(r.Views))
	if r.Intact {
		fmt.Printf("intact, %.1f s\n", r.Seconds)
	} else {
		fmt.Printf("damaged: %d, named above, %.1f s\n", len(r.Damages)+r.More, r.Seconds)
	}
}
