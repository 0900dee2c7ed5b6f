package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"eyrie/appliance/sources"
	"eyrie/appliance/sources/claudecode"
)

type followCmd struct {
	ClaudeCode followClaudeCmd `cmd:"" name:"claude-code" help:"Follow Claude Code's transcripts: whole history first, then live."`
}

type followClaudeCmd struct {
	serverFlags
	Dir     []string `arg:"" optional:"" type:"path" help:"Folders or files; without one ~/.claude/projects."`
	Once    bool     `help:"End after the history."`
	Content string   `enum:",full,meta" default:"" help:"full, or meta (no prompts, no code); full only to a server on this machine by default."`
	Host    string   `placeholder:"NAME" help:"Name of this machine in agents' names; the host name by default."`
	Poll    bool     `help:"Look for changes by the clock instead of notifications (network file systems)."`
	JSON    bool     `help:"Print what was done as JSON."`
}

// Run follows every folder with a producer of its own.
func (c *followClaudeCmd) Run(ctx context.Context) error {
	dirs := c.Dir
	if len(dirs) == 0 {
		home, err := os.UserHomeDir()
		if err != nil {
			return err
		}
		dirs = []string{filepath.Join(home, ".claude", "projects")}
	}
	if c.Host == "" {
		c.Host, _ = os.Hostname()
	}
	content, err := sources.ParseContent(c.Content, c.Server)
	if err != nil {
		return exit(exitUsage, "%v", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		wg  sync.WaitGroup
		mu  sync.Mutex
		all error
	)
	for _, dir := range dirs {
		if _, err := os.Stat(dir); err != nil {
			return exit(exitUsage, "%v", err)
		}
		wg.Go(func() {
			st, err := c.follow(ctx, dir, content)
			mu.Lock()
			defer mu.Unlock()
			if err != nil && ctx.Err() == nil {
				all = errors.Join(all, fmt.Errorf("%s: %w", dir, err))
				cancel()
				return
			}
			c.print(dir, st)
		})
	}
	wg.Wait()
	return all
}

func (c *followClaudeCmd) follow(ctx context.Context, dir string, content sources.Content) (claudecode.Stats, error) {
	producer, err := claudecode.ProducerOf(c.Host, dir)
	if err != nil {
		return claudecode.Stats{}, err
	}
	sink, err := c.dialSink(ctx, producer, firstTry)
	if err != nil {
		return claudecode.Stats{}, err
	}
	st, err := claudecode.Follow(ctx, sink, claudecode.FollowOptions{
		Root: dir, Host: c.Host, Content: content, Once: c.Once, Poll: c.Poll,
		Report: func(r claudecode.Report) { fmt.Fprintf(os.Stderr, "eyrie: %s\n", plain(r.String())) },
		Caught: func(st claudecode.Stats) {
			if !c.Once {
				fmt.Fprintf(os.Stderr, "eyrie: %s: history of %d files sent (%d events); following\n", dir, st.Files, st.Events)
			}
		},
	})
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if e := sink.close(end); err == nil && e != nil && ctx.Err() == nil {
		err = e
	}
	return st, err
}

func (c *followClaudeCmd) print(dir string, st claudecode.Stats) {
	if c.JSON {
		_ = printJSON(map[string]any{"dir": dir, "files": st.Files, "lines": st.Lines, "replayed": st.Replayed, "events": st.Events, "unreadable": st.Reports})
		return
	}
	fmt.Printf("%s: %d files, %d new lines, %d events sent, %d unreadable\n", dir, st.Files, st.Lines, st.Events, st.Reports)
}
