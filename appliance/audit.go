package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"text/tabwriter"
	"time"
)

type auditCmd struct {
	serverFlags
	Count int  `short:"n" default:"50" placeholder:"N" help:"How many entries, newest first; 0 prints all."`
	JSON  bool `help:"Print each entry as a line of JSON."`
}

// auditEntry is an entry as the API shows it.
type auditEntry struct {
	N      uint64  `json:"n"`
	Recv   float64 `json:"recv_ms"`
	Offset uint64  `json:"offset"`
	Action string  `json:"action"`
	Object string  `json:"object"`
	By     string  `json:"by"`
	Remote string  `json:"remote"`
	Detail string  `json:"detail"`
	Hash   string  `json:"hash"`
}

// Run prints the audit chain, newest first.
func (c *auditCmd) Run(ctx context.Context) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	if !c.JSON {
		fmt.Fprintln(w, "N\tWHEN\tACTION\tOBJECT\tBY\tFROM\tDETAIL")
	}
	left := c.Count
	for after := ""; ; {
		limit := 1000
		if c.Count > 0 {
			limit = min(limit, left)
		}
		var page struct {
			Items []auditEntry `json:"items"`
			Next  string       `json:"next"`
		}
		path := "/v1/audit?limit=" + strconv.Itoa(limit) + "&after=" + url.QueryEscape(after)
		if err := c.call(ctx, "operator", "GET", path, nil, &page); err != nil {
			return err
		}
		for _, e := range page.Items {
			if c.JSON {
				if err := printLine(e); err != nil {
					return err
				}
				continue
			}
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", e.N, time.UnixMilli(int64(e.Recv)).Format("2006-01-02 15:04:05"),
				plain(e.Action), plain(e.Object), plain(e.By), plain(e.Remote), plain(e.Detail))
		}
		left -= len(page.Items)
		if after = page.Next; after == "" || c.Count > 0 && left <= 0 {
			return w.Flush()
		}
	}
}
