package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"eyrie/appliance/config"
	"eyrie/appliance/node"
	"eyrie/appliance/obs"
	"eyrie/wal"

	"github.com/alecthomas/kong"
)

// Run serves until SIGINT or SIGTERM, or until the log fails.
func (c *serveCmd) Run(ctx context.Context, k *kong.Context) error {
	f, err := c.load(k)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if err := c.Check(); err != nil {
		return &exitError{exitUsage, err}
	}
	settings := func(tuned []config.Tuned) []config.Value { return config.Values(&c.Config, k, f, tuned) }
	if c.PrintConfig {
		return config.Print(os.Stdout, settings(node.Tune(&c.Config)))
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return &exitError{exitUsage, err}
	}
	logger := obs.NewLogger(os.Stderr, c.LogFormat == "json", level)
	n, err := open(ctx, node.Options{Config: &c.Config, Settings: settings, Logger: logger, BeforeViews: beforeViews})
	switch {
	case n == nil && err == nil:
		logger.Info("stopped before the data folder was open; nothing was taken in")
		return nil
	case err != nil:
		return dataError(c.Data, err)
	}
	if err := n.Start(); err != nil {
		stop(n, c)
		return err
	}
	n.YieldToIngest()
	if err := c.greet(n); err != nil {
		stop(n, c)
		return err
	}
	if c.Demo {
		demo, end := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := playDemo(demo, n); err != nil && demo.Err() == nil {
				logger.Error("the demo ended", "err", err)
			}
		}()
		defer func() { end(); <-done }()
	}
	select {
	case <-ctx.Done():
		logger.Info("stopping: settling what was taken in")
		return stop(n, c)
	case err := <-n.Failed():
		stop(n, c)
		var views *node.ViewsError
		if errors.As(err, &views) {
			return dataError(c.Data, views.Err)
		}
		return fmt.Errorf("the log has failed, nothing more can be acknowledged: %w", err)
	}
}

// beforeViews is nil but in tests, which hold the load of the views by it.
var beforeViews func(ctx context.Context)

// open opens the node, or returns nil when a stop is wanted meanwhile: recovery
// may take its time, or wait for a disk that is full or does not answer. What is
// durable is safe at any point of it, so the process may end there.
func open(ctx context.Context, o node.Options) (*node.Node, error) {
	type opened struct {
		n   *node.Node
		err error
	}
	done := make(chan opened, 1)
	go func() {
		n, err := node.Open(o)
		done <- opened{n, err}
	}()
	select {
	case r := <-done:
		return r.n, r.err
	case <-ctx.Done():
		return nil, nil
	}
}

func stop(n *node.Node, c *serveCmd) error {
	ctx, cancel := context.WithTimeout(context.Background(), c.Drain.D())
	defer cancel()
	return n.Stop(ctx)
}

// load reads the configuration file, if one is named, and fills in what
// neither flags nor variables set.
func (c *serveCmd) load(k *kong.Context) (*config.File, error) {
	if c.File == "" {
		return nil, nil
	}
	f, err := config.ReadFile(c.File)
	if err != nil {
		return nil, err
	}
	k.AddResolver(f)
	if err := k.Resolve(); err != nil {
		return nil, err
	}
	_, err = k.Apply()
	return f, err
}

// dataError says why a data folder cannot be served, and what to do.
func dataError(dir string, err error) error {
	var newer *wal.NewerFormatError
	var lost *wal.LostError
	switch {
	case errors.Is(err, node.ErrTables):
		return err
	case errors.Is(err, wal.ErrInUse):
		return exit(exitData, "the data folder %s is in use by another eyrie; stop it, or serve another folder with --data", dir)
	case errors.Is(err, wal.ErrNoRoom):
		return exit(exitData, "the data folder %s: %v; make room and start again", dir, err)
	case errors.As(err, &newer):
		return exit(exitData, "the data folder %s: %v; use that release, or another folder with --data", dir, newer)
	case errors.As(err, &lost):
		return exit(exitData, "the data folder %s: %v. Nothing was changed. To go on without them, and have the range recorded, start with --accept-loss", dir, lost)
	}
	return exit(exitData, "the data folder %s cannot be opened: %v", dir, err)
}

// greet prints where to go: on a terminal a person reads it first.
func (c *serveCmd) greet(n *node.Node) error {
	keys, made := n.Keys()
	op, err := keys.Standing("operator")
	if err != nil {
		return err
	}
	open, refused := n.Listeners()
	var web, ingest string
	for _, l := range open {
		switch l.Name {
		case "web":
			web = l.Addr
		case "ingest":
			ingest = l.Addr
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n  eyrie %s\n\n", obs.Stamp().Version)
	if web != "" {
		fmt.Fprintf(&b, "  open    http://%s/#key=%s\n", dialable(web), op)
		if !screen() {
			u, host := "you", "this-host"
			if x, err := user.Current(); err == nil {
				u = x.Username
			}
			if h, err := os.Hostname(); err == nil {
				host = h
			}
			_, port, _ := net.SplitHostPort(web)
			fmt.Fprintf(&b, "          no screen here? from your own machine first: ssh -L %s:%s %s@%s\n", port, dialable(web), u, host)
		}
	}
	if ingest != "" {
		fmt.Fprintf(&b, "  agents  ws://%s/v1/agent   key in %s\n", dialable(ingest), filepath.Join(c.Data, "keys", "agent"))
	}
	for _, r := range refused {
		fmt.Fprintf(&b, "  !       %s\n", r)
	}
	fmt.Fprintf(&b, "  data    %s", c.Data)
	if made {
		b.WriteString("   (new: keys were made)")
	}
	b.WriteString("\n\n")
	_, err = fmt.Fprint(os.Stdout, b.String())
	return err
}

// dialable turns an address that is listened on into one to connect to.
func dialable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// screen reports whether this machine seems to have one.
func screen() bool { return os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != "" }
