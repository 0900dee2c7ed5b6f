package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"eyrie/appliance/vault"
	"eyrie/wal"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/term"
)

type backupCmd struct {
	To     string `required:"" placeholder:"DIR" help:"Folder of backups: what an earlier one there holds is not copied again. With a running eyrie, a folder on its machine."`
	Data   string `default:"./eyrie-data" placeholder:"DIR" help:"Data folder to back up, and in which to look for the key."`
	Server string `placeholder:"URL" help:"The running eyrie to ask; without it, the one that holds the data folder, at its default address, or none."`
	Key    string `placeholder:"KEY" help:"Key to use; without it, the one in the data folder of this machine."`
	Keep   int    `default:"0" placeholder:"N" help:"Newest backups that stay in the folder; 0 keeps all."`
	NoKeys bool   `help:"Leave the folder of keys out."`
	List   bool   `help:"List the backups in the folder, and make none."`
	JSON   bool   `help:"Print JSON."`
}

// Run makes a backup through the server that holds the data folder, or where
// none does, by itself.
func (c *backupCmd) Run(ctx context.Context) error {
	if c.Keep < 0 {
		return exit(exitUsage, "--keep: a number of backups is wanted, 0 for all")
	}
	to, err := filepath.Abs(c.To)
	if err != nil {
		return err
	}
	if c.List {
		return c.list(to)
	}
	var made *vault.Made
	if c.Server == "" {
		show := newProgress("backup")
		made, err = vault.BackupAtRest(ctx, c.Data, vault.Ask{To: to, Keep: c.Keep, Keys: !c.NoKeys}, "local:"+userName(), show.bytes)
		show.end()
	}
	if c.Server != "" || errors.Is(err, wal.ErrInUse) {
		made, err = c.ask(ctx, to)
	} else if err != nil {
		return stored(c.Data, err)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(made)
	}
	fmt.Printf("backup %s of log %s: %s, every offset below %d\n", made.Name, made.Log, size(made.Bytes), made.Next)
	fmt.Printf("%d of %d files were new, %s in %.1f s\n", made.CopiedFiles, made.Files, size(made.CopiedBytes), made.Seconds)
	for _, n := range made.Removed {
		fmt.Printf("removed %s\n", n)
	}
	for _, d := range made.Damaged {
		fmt.Fprintf(os.Stderr, "eyrie: %s; as long as it is there, no file of the folder is removed\n", d)
	}
	return nil
}

// ask has the server make the backup, and waits for it.
func (c *backupCmd) ask(ctx context.Context, to string) (*vault.Made, error) {
	s := serverFlags{Server: c.Server, Key: c.Key, Data: c.Data}
	var st struct {
		jobState
		Done  int64      `json:"done_bytes"`
		Total int64      `json:"total_bytes"`
		Made  vault.Made `json:"made"`
	}
	show := newProgress("backup")
	defer show.end()
	err := s.job(ctx, "/v1/backup", map[string]any{"to": to, "keep": c.Keep, "keys": !c.NoKeys}, &st, func() { show.bytes(st.Done, st.Total) })
	if err != nil {
		return nil, err
	}
	return &st.Made, nil
}

// list prints what is in a folder of backups.
func (c *backupCmd) list(dir string) error {
	bs, damaged, err := wal.Backups(vfs.Default, dir)
	if err != nil {
		return err
	}
	type row struct {
		Name  string `json:"name"`
		Log   string `json:"log"`
		Epoch uint32 `json:"epoch"`
		Next  uint64 `json:"next"`
		Recv  int64  `json:"recv_ms"`
		Bytes int64  `json:"bytes"`
		Error string `json:"error,omitempty"`
	}
	rows := []row{}
	for _, b := range bs {
		rows = append(rows, row{Name: b.Name, Log: b.Log, Epoch: b.Epoch, Next: b.Next, Recv: b.Recv / 1e6, Bytes: b.Bytes()})
	}
	for _, d := range damaged {
		rows = append(rows, row{Name: d.Backup, Error: d.Error()})
	}
	if c.JSON {
		return printJSON(rows)
	}
	for _, r := range rows {
		if r.Error != "" {
			fmt.Printf("%-32s %s\n", r.Name, r.Error)
			continue
		}
		fmt.Printf("%-32s epoch %d  offsets below %-12d %9s  last record %s\n", r.Name, r.Epoch, r.Next, size(r.Bytes), day(r.Recv))
	}
	return nil
}

// stored says why a data folder or a backup could not be worked on, with the
// exit code that it has.
func stored(data string, err error) error {
	var newer *wal.NewerFormatError
	var lost *wal.LostError
	var bad *wal.BackupDamage
	switch {
	case errors.Is(err, vault.ErrNoLog), errors.Is(err, wal.ErrNoBackup), errors.Is(err, wal.ErrNotEmpty), errors.Is(err, wal.ErrPoint):
		return exit(exitUsage, "%s: %v", data, err)
	case errors.Is(err, wal.ErrInUse):
		return exit(exitData, "the data folder %s is in use by a running eyrie; stop it first", data)
	case errors.As(err, &newer), errors.As(err, &lost), errors.As(err, &bad), errors.Is(err, wal.ErrNoRoom):
		return exit(exitData, "%s: %v", data, err)
	}
	return err
}

func size(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", (n+1023)>>10)
}

// progress shows on a terminal how far something is.
type progress struct {
	what string
	at   time.Time
	on   bool
}

func newProgress(what string) *progress {
	return &progress{what: what, on: term.IsTerminal(int(os.Stderr.Fd()))}
}

func (p *progress) bytes(done, total int64) {
	p.show(done >= total, func() string { return size(done) + " of " + size(total) })
}

func (p *progress) offsets(at, end uint64) {
	p.show(at >= end, func() string { return strconv.FormatUint(at, 10) + " of " + strconv.FormatUint(end, 10) + " records" })
}

func (p *progress) show(last bool, text func() string) {
	if now := time.Now(); p.on && (last || now.Sub(p.at) >= 200*time.Millisecond) {
		p.at = now
		fmt.Fprintf(os.Stderr, "\r%s  %s  ", p.what, text())
	}
}

func (p *progress) end() {
	if p.on && !p.at.IsZero() {
		fmt.Fprintf(os.Stderr, "\r%s\r", strings.Repeat(" ", 70))
	}
}
