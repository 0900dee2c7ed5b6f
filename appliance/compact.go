package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"

	"eyrie/appliance/vault"
	"eyrie/wal"
)

type compactCmd struct {
	Data   string `default:"./eyrie-data" placeholder:"DIR" help:"Data folder to compact, and in which to look for the key."`
	Server string `placeholder:"URL" help:"The running eyrie to ask; without it, the one that holds the data folder, at its default address, or none."`
	Key    string `placeholder:"KEY" help:"Key to use; without it, the one in the data folder of this machine."`
	JSON   bool   `help:"Print JSON."`
}

// Run compacts a data folder, through the server that holds it or by itself.
func (c *compactCmd) Run(ctx context.Context) error {
	var done *vault.Compacted
	var err error
	if c.Server == "" {
		done, err = vault.CompactAtRest(ctx, c.Data)
	}
	if c.Server != "" || errors.Is(err, wal.ErrInUse) {
		done, err = c.ask(ctx)
	} else if err != nil {
		return stored(c.Data, err)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(done)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PART\tBEFORE\tAFTER")
	for _, p := range done.Parts {
		fmt.Fprintf(w, "%s\t%s\t%s\n", p.Name, size(int64(p.Before)), size(int64(p.After)))
	}
	return w.Flush()
}

// ask has the server do it, and waits for it.
func (c *compactCmd) ask(ctx context.Context) (*vault.Compacted, error) {
	s := serverFlags{Server: c.Server, Key: c.Key, Data: c.Data}
	var st struct {
		jobState
		Done vault.Compacted `json:"done"`
	}
	if err := s.job(ctx, "/v1/compact", nil, &st, nil); err != nil {
		return nil, err
	}
	return &st.Done, nil
}
