package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"eyrie/appliance/vault"
)

type restoreCmd struct {
	From     string `required:"" placeholder:"DIR" help:"Folder of backups."`
	Backup   string `placeholder:"NAME" help:"Which of them, as backup --list shows it; the newest by default."`
	Data     string `required:"" placeholder:"DIR" help:"Data folder to make: empty, or not there yet."`
	ToOffset uint64 `placeholder:"N" help:"Restore up to this offset and drop what is behind it."`
	ToTime   string `placeholder:"TIME" help:"Restore what was stored up to this time: RFC 3339, Unix ms, or an age such as 90m."`
	JSON     bool   `help:"Print JSON."`
}

// Run makes a data folder from a backup.
func (c *restoreCmd) Run(ctx context.Context) error {
	w := vault.Wanted{From: c.From, Backup: c.Backup, Data: c.Data, ToOffset: c.ToOffset, By: "local:" + userName()}
	if c.ToTime != "" {
		if c.ToOffset != 0 {
			return exit(exitUsage, "--to-offset and --to-time: give one of them")
		}
		var err error
		if w.ToTime, err = moment(c.ToTime, time.Now()); err != nil {
			return exit(exitUsage, "--to-time: %v", err)
		}
	}
	show := newProgress("restore")
	r, err := vault.Restore(ctx, w, show.bytes)
	show.end()
	if err != nil {
		return stored(c.Data, err)
	}
	if c.JSON {
		return printJSON(r)
	}
	fmt.Printf("%s holds backup %s: log %s, every offset below %d", r.Data, r.Backup, r.Log, r.Next)
	if r.Recv > 0 {
		fmt.Printf(", the last stored %s", time.UnixMilli(int64(r.Recv)).Format(time.RFC3339))
	}
	fmt.Printf("\nepoch %d begins at offset %d; views will be folded anew at the first start\n", r.Epoch, r.Next)
	d := &r.Dropped
	if d.Records == 0 {
		return nil
	}
	fmt.Printf("dropped: offsets %d to %d, %d records, stored %s to %s\n", d.From, d.To, d.Records,
		time.UnixMilli(int64(d.FromRecv)).Format(time.RFC3339), time.UnixMilli(int64(d.ToRecv)).Format(time.RFC3339))
	for _, k := range slices.Sorted(maps.Keys(d.Kinds)) {
		fmt.Printf("  %8d  %s\n", d.Kinds[k], k)
	}
	if d.Agents > 0 {
		fmt.Printf("  %d agents that were seen first among them", d.Agents)
		for i, a := range d.AgentList[:min(len(d.AgentList), 10)] {
			fmt.Printf("%s%s", map[bool]string{true: ": ", false: ", "}[i == 0], plain(a))
		}
		fmt.Println()
	}
	if d.Producers > 0 {
		fmt.Printf("  numbers of %d producers; who still holds them sends them again\n", d.Producers)
		for _, n := range d.Numbers[:min(len(d.Numbers), 10)] {
			fmt.Printf("    %s: %d to %d\n", plain(n.Producer), n.From, n.To)
		}
	}
	return nil
}

// moment reads a time: RFC 3339, Unix ms, or an age.
func moment(s string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil && ms > 0 {
		return time.UnixMilli(ms), nil
	}
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time such as 2026-01-31T18:00:00Z, 1769882400000 or 90m", s)
}
