package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"eyrie/appliance/vault"
	"eyrie/wal"
)

type verifyCmd struct {
	Data    string `default:"./eyrie-data" placeholder:"DIR" help:"Data folder to verify, and in which to look for the key. Nothing in it is changed."`
	Server  string `placeholder:"URL" help:"The running eyrie to ask; without it, the one that holds the data folder, at its default address, or none."`
	Key     string `placeholder:"KEY" help:"Key to use; without it, the one in the data folder of this machine."`
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
	if c.Server != "" && c.Backups != "" {
		return exit(exitUsage, "--server: a folder of backups is verified without one")
	}
	what := c.Data
	if c.Backups != "" {
		what = c.Backups
	}
	var r *vault.Report
	var err error
	show := newProgress("verify")
	if c.Server == "" {
		r, err = vault.Verify(ctx, vault.Subject{Data: c.Data, Backups: c.Backups, Backup: c.Backup}, show.offsets)
	}
	if c.Server != "" || errors.Is(err, wal.ErrInUse) {
		what = cmp.Or(c.Server, holder)
		if r, err = askVerify(ctx, serverFlags{Server: c.Server, Key: c.Key, Data: c.Data}, show); err != nil {
			show.end()
			return err
		}
	}
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

// askVerify has the server verify itself, and waits for it.
func askVerify(ctx context.Context, s serverFlags, show *progress) (*vault.Report, error) {
	var st struct {
		jobState
		Done   uint64        `json:"done_records"`
		Total  uint64        `json:"total_records"`
		Report *vault.Report `json:"report"`
	}
	if err := s.job(ctx, "/v1/verify", nil, &st, func() { show.offsets(st.Done, st.Total) }); err != nil {
		return nil, err
	}
	if st.Report == nil {
		return nil, errors.New("the server has verified itself, and does not say what it found")
	}
	return st.Report, nil
}

func printReport(what string, r *vault.Report) {
	for _, d := range r.Damages {
		fmt.Println(plain(d.String()))
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
	agree := 0
	for _, v := range r.Views {
		if v.Agrees {
			agree++
		}
	}
	fmt.Printf("digests of %d producers; of %d views they are those of the log\n", r.Digests, agree)
	if r.Intact {
		fmt.Printf("intact, %.1f s\n", r.Seconds)
	} else {
		fmt.Printf("damaged: %d, named above, %.1f s\n", len(r.Damages)+r.More, r.Seconds)
	}
}
