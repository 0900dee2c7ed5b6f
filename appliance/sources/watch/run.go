package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"eyrie/appliance/sources"
	"eyrie/engine/wire"
)

// Options of Run. Argv and Sink are needed.
type Options struct {
	Argv    []string
	Sink    sources.Sink
	Name    string // durable name; "" = user@host:program
	User    string // of the default name
	Host    string
	ID      string // the agent's id; "" = a random one: every start is another instance
	Content sources.Content

	Stdin          io.Reader // an *os.File is handed to the program as it is
	Stdout, Stderr io.Writer

	Every      time.Duration // between two measurements; 0 = 2 s. The heartbeat promised is three times this
	LinesBurst int           // log lines sent at once; 0 = 200
	LinesPerS  float64       // log lines a second after that; 0 = 50
	Linger     time.Duration // how long the end waits for the server; 0 = 5 s
	Now        func() time.Time
}

func (o Options) withDefaults() Options {
	if o.Every == 0 {
		o.Every = 2 * time.Second
	}
	if o.LinesBurst == 0 {
		o.LinesBurst = 200
	}
	if o.LinesPerS == 0 {
		o.LinesPerS = 50
	}
	if o.Linger == 0 {
		o.Linger = 5 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.ID == "" {
		o.ID = "watch-" + uuid.NewString()
	}
	if o.Name == "" && len(o.Argv) > 0 {
		o.Name = program(o.Argv[0])
		if o.Host != "" {
			o.Name = o.Host + ":" + o.Name
		}
		if o.User != "" {
			o.Name = o.User + "@" + o.Name
		}
	}
	return o
}

func program(path string) string {
	return strings.TrimSuffix(filepath.Base(path), ".exe")
}

// Exit codes of Run for a program that did not run, as a shell gives them; one that a signal ended gives 128 + signal.
const (
	ExitNotRunnable = 126
	ExitNotFound    = 127
)

// ErrUnsent is returned, wrapped, when the program ran but the server did not take everything.
var ErrUnsent = errors.New("watch: not everything reached the server")

// Run runs the program to its end. exitCode is the program's own, whatever err says; err tells why the program
// did not run, or wraps ErrUnsent. When ctx ends the program is told to stop (SIGTERM; killed on Windows).
func Run(ctx context.Context, o Options) (exitCode int, err error) {
	if len(o.Argv) == 0 {
		return ExitNotRunnable, errors.New("watch: no command")
	}
	o = o.withDefaults()
	w := &watcher{o: o, send: startSender(o.Sink)}
	w.declare()
	exitCode, err = w.program(ctx)
	if unsent := w.send.finish(o.Linger); unsent != nil && err == nil {
		err = fmt.Errorf("%w: %w", ErrUnsent, unsent)
	}
	return exitCode, err
}

// watcher is one Run under way.
type watcher struct {
	o     Options
	send  *sender
	start time.Time
	run   string
	sent  os.Signal // the last signal passed on
}

// event begins an event of the program.
func (w *watcher) event(t wire.Type) wire.Event {
	return wire.Event{Type: t, Agent: w.o.ID, Session: w.o.ID, Run: w.run, TS: w.o.Now().UnixNano()}
}

func (w *watcher) declare() {
	e := w.event(wire.TypeAgent)
	e.Name, e.Role, e.Host = sources.Cut(w.o.Name, 96), "program", w.o.Host
	e.HeartbeatMs = float64(3 * w.o.Every / time.Millisecond)
	e.Labels = map[string]string{"source": "watch", "program": sources.Cut(program(w.o.Argv[0]), 96)}
	w.send.put(e)
}

func (w *watcher) state(state string) {
	e := w.event(wire.TypeState)
	e.State = &wire.State{State: state, By: "agent"}
	w.send.put(e)
}

func (w *watcher) program(ctx context.Context) (int, error) {
	o := &w.o
	cmd := exec.Command(o.Argv[0], o.Argv[1:]...)
	cmd.Stdin = o.Stdin
	out, errs := newLines(w, "stdout", o.Stdout), newLines(w, "stderr", o.Stderr)
	cmd.Stdout, cmd.Stderr = out, errs
	cmd.WaitDelay = o.Linger // a grandchild that keeps the output open does not hold us for ever

	w.start, w.run = o.Now(), o.ID+"-run"
	run := w.event(wire.TypeRun)
	run.Phase, run.Span, run.Name = wire.PhaseStart, w.run, program(o.Argv[0])
	if o.Content == sources.ContentFull {
		run.Name = sources.Cut(strings.Join(o.Argv, " "), 256)
		run.Input = map[string]any{"argv": cutAll(o.Argv)}
	}
	w.send.put(run)
	w.state("running")

	signals := make(chan os.Signal, 16)
	signal.Notify(signals, passed...)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		code := ExitNotRunnable
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			code = ExitNotFound
		}
		w.ended(run, code, "not_started", err.Error(), wire.StatusError)
		return code, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	err := w.follow(ctx, cmd, out, errs, signals, done)
	out.finish()
	errs.finish()
	w.totals(cmd, out, errs)
	code, why, status := w.outcome(cmd.ProcessState, err)
	msg := ""
	if cmd.ProcessState != nil && status != wire.StatusOK {
		msg = cmd.ProcessState.String()
	}
	w.ended(run, code, why, msg, status)
	return code, nil
}

// follow measures and passes signals on until the program ended.
func (w *watcher) follow(ctx context.Context, cmd *exec.Cmd, out, errs *lines, signals <-chan os.Signal, done <-chan error) error {
	tick := time.NewTicker(w.o.Every)
	defer tick.Stop()
	m := newMeter(cmd.Process.Pid)
	stop := ctx.Done()
	for {
		select {
		case err := <-done:
			return err
		case s := <-signals:
			w.sent = s
			pass(cmd.Process, s, w.o.Stdin)
		case <-stop:
			stop = nil
			w.sent = terminate(cmd.Process)
		case <-tick.C:
			w.measured(m.read(w.o.Now()), out, errs)
		}
	}
}

// measured reports one measurement; it is the heartbeat too, so it is sent even where nothing can be measured.
func (w *watcher) measured(s usage, out, errs *lines) {
	e := w.event(wire.TypeMetrics)
	e.Name, e.Metrics, e.Counters = "process", s.metrics(), s.counters()
	for _, l := range []*lines{out, errs} {
		n, bytes := l.counts()
		e.Counters[l.stream+"_lines"], e.Counters[l.stream+"_bytes"] = float64(n), float64(bytes)
	}
	e.Unit = map[string]string{"cpu_percent": "%", "rss_bytes": "By", "read_bytes": "By", "write_bytes": "By", "cpu_seconds": "s"}
	w.send.put(e)
}

// totals reports what the OS says about the whole run: the only measurement where there is no /proc.
func (w *watcher) totals(cmd *exec.Cmd, out, errs *lines) {
	if p := cmd.ProcessState; p != nil {
		s := usage{known: true, cpu: (p.UserTime() + p.SystemTime()).Seconds()}
		if rss := maxRSS(p); rss > 0 {
			s.peak = rss
		}
		w.measured(s, out, errs)
	}
}

func (w *watcher) outcome(p *os.ProcessState, err error) (code int, why string, status wire.Status) {
	if p == nil {
		return ExitNotRunnable, "wait_failed", wire.StatusError
	}
	if n, ok := signalled(p); ok {
		switch {
		case isInterrupt(w.sent):
			return 128 + n, "signal", wire.StatusInterrupted
		case w.sent != nil:
			return 128 + n, "signal", wire.StatusCancelled
		}
		return 128 + n, "signal", wire.StatusError
	}
	if code = p.ExitCode(); code != 0 {
		return code, "exit_code", wire.StatusError
	}
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return 0, "output_failed", wire.StatusError // its output could not be passed on
	}
	return 0, "", wire.StatusOK
}

func (w *watcher) ended(run wire.Event, code int, why, msg string, status wire.Status) {
	e := w.event(wire.TypeRun)
	e.Phase, e.Span, e.Name, e.Status, e.Start = wire.PhaseEnd, w.run, run.Name, status, w.start.UnixNano()
	d := float64(w.o.Now().Sub(w.start)) / 1e6
	e.DurMs = &d
	e.Attrs = map[string]any{"exit_code": code}
	state := "done"
	if why != "" {
		e.Error = &wire.Error{Code: why, Msg: sources.Cut(msg, 512)}
	}
	if status == wire.StatusError {
		e.Severity, state = wire.SeverityError, "failed"
	}
	w.send.put(e)
	w.state(state)
	gone := w.event(wire.TypeAgent)
	gone.Name, gone.Role, gone.Host, gone.Ended = sources.Cut(w.o.Name, 96), "program", w.o.Host, true
	w.send.put(gone)
}

func cutAll(argv []string) []string {
	out := make([]string, 0, min(len(argv), 64))
	for _, a := range argv[:cap(out)] {
		out = append(out, sources.Cut(a, 1024))
	}
	return out
}
