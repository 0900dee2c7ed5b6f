package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"os/user"
	"reflect"
	"syscall"

	"eyrie/appliance/config"
	"eyrie/appliance/obs"

	"github.com/alecthomas/kong"
)

// Exit codes, as docs/cli.md lists them.
const (
	exitFailed = 1 // it did not work; the last line says why
	exitUsage  = 2 // the command line cannot be understood
	exitData   = 3 // the data folder cannot be served: in use, newer, damaged
	exitServer = 4 // the server cannot be reached or refused the key
)

// exitError is an error with an exit code of its own.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func exit(code int, format string, args ...any) error {
	return &exitError{code, fmt.Errorf(format, args...)}
}

// command is the whole command line.
type command struct {
	Serve   serveCmd   `cmd:"" help:"Run the appliance. Works without any configuration."`
	Doctor  doctorCmd  `cmd:"" help:"Check what this host can bear, and what holds it back."`
	Token   tokenCmd   `cmd:"" help:"Create, list and revoke keys."`
	Send    sendCmd    `cmd:"" help:"Send one event."`
	Tail    tailCmd    `cmd:"" help:"Print events as they arrive."`
	Follow  followCmd  `cmd:"" help:"Follow an agent's own files, without touching the agent."`
	Watch   watchCmd   `cmd:"" help:"Run any program and watch it."`
	Replay  replayCmd  `cmd:"" help:"Play recorded runs as if they happened now."`
	Backup  backupCmd  `cmd:"" help:"Copy the log to a folder, while it runs or at rest."`
	Restore restoreCmd `cmd:"" help:"Make a data folder from a backup, whole or as it was at a point in time."`
	Verify  verifyCmd  `cmd:"" help:"Read everything in a data folder or backup and name what is damaged."`
	Compact compactCmd `cmd:"" help:"Seal what may be sealed, and give back the space of what is not needed."`
	Forget  forgetCmd  `cmd:"" help:"Have an agent or a run forgotten: what it sent goes for good, a record says so."`
	Audit   auditCmd   `cmd:"" help:"Print what operators and eyrie itself did."`
	Plan    planCmd    `cmd:"" help:"Say what a load needs of a host: cores, memory, disk, price, and what ends first."`
	Bench   benchCmd   `cmd:"" help:"Measure what this machine can bear."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// variables gives an EYRIE_… variable to every key of the configuration, and
// to the flags by which a client finds its server: not to flags that say what
// this one call is to do.
func variables() kong.Option {
	client := map[string]bool{"server": true, "key": true, "data": true}
	return kong.PostBuild(func(k *kong.Kong) error {
		var visit func(n *kong.Node, all bool)
		visit = func(n *kong.Node, all bool) {
			for _, f := range n.Flags {
				if f.Name != "help" && f.Name != "print-config" && f.Name != "demo" && (all || client[f.Name]) {
					f.Envs = []string{config.Variable(f.Name)}
					f.Value.Tag.Envs = f.Envs
				}
			}
			for _, c := range n.Children {
				visit(c, all || n == k.Model.Node && c.Name == "serve")
			}
		}
		visit(k.Model.Node, false)
		return nil
	})
}

// helpOf is a flag's help with its default, where its placeholder does not say it.
func helpOf(v *kong.Value) string {
	help := kong.DefaultHelpValueFormatter(v)
	if v.Flag == nil || v.Flag.PlaceHolder == "" || v.Default == "" || v.IsBool() {
		return help
	}
	return help + " Default: " + v.Default + "."
}

func main() {
	os.Exit(run(os.Args[1:], os.Stderr))
}

// newDir maps a folder for what a verb leaves, which is made if it is not there.
func newDir(ctx *kong.DecodeContext, target reflect.Value) error {
	var path string
	if err := ctx.Scan.PopValueInto("folder", &path); err != nil {
		return err
	}
	path = kong.ExpandPath(path)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	target.SetString(path)
	return nil
}

// newParser returns what parses the command line into c. user is the default
// agent of send.
func newParser(c *command, user string) (*kong.Kong, error) {
	return kong.New(c,
		kong.Name("eyrie"),
		kong.Description("Watches a fleet of AI agents live. `eyrie serve` starts it; doctor, bench, restore and version need no running one, plan may ask one; backup, verify and compact ask the one that holds the folder, or work on a folder where none runs; every other verb talks to a running one."),
		variables(),
		kong.Vars{"user": user},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.ValueFormatter(helpOf),
		kong.NamedMapper("newdir", kong.MapperFunc(newDir)),
	)
}

func run(args []string, stderr *os.File) int {
	var c command
	parser, err := newParser(&c, userName())
	if err != nil {
		panic(err)
	}
	k, err := parser.Parse(args)
	if err != nil {
		var pe *kong.ParseError
		if errors.As(err, &pe) {
			fmt.Fprintf(stderr, "eyrie: %v\n`eyrie %s--help` says what is understood.\n", err, verb(pe))
			return exitUsage
		}
		fmt.Fprintf(stderr, "eyrie: %v\n", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal asks for an orderly end; a second one does not wait for it.
	context.AfterFunc(ctx, stop)
	k.BindTo(ctx, (*context.Context)(nil))
	if err := k.Run(); err != nil {
		var code exitCode
		if errors.As(err, &code) {
			return int(code)
		}
		fmt.Fprintf(stderr, "eyrie: %v\n", err)
		return exitCodeOf(err)
	}
	return 0
}

// exitCodeOf returns the exit code of an error.
func exitCodeOf(err error) int {
	var e *exitError
	if errors.As(err, &e) {
		return e.code
	}
	return exitFailed
}

// exitCode ends the process with a code and without a word of ours: the
// watched program's own.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// verb returns the verb that a usage error is about, with a blank behind it.
func verb(e *kong.ParseError) string {
	if e.Context != nil {
		if c := e.Context.Command(); c != "" {
			return c + " "
		}
	}
	return ""
}

type versionCmd struct {
	JSON bool `help:"Print JSON."`
}

func (v *versionCmd) Run() error {
	b := obs.Stamp()
	if v.JSON {
		return printJSON(b)
	}
	fmt.Printf("eyrie %s (%s) %s %s/%s\n", b.Version, b.Commit, b.Go, b.OS, b.Arch)
	return nil
}

// userName is the default agent of `send`: who runs it, and where.
func userName() string {
	name, host := "user", "localhost"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	return name + "@" + host
}
