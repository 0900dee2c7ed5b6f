package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"eyrie/appliance/obs"
	"eyrie/bench/host"
)

// Report is what every part of bench answers.
type Report struct {
	Part     string       `json:"part"`
	Command  string       `json:"command"`
	At       time.Time    `json:"at"`
	Version  string       `json:"version"`
	Commit   string       `json:"commit"`
	Machine  host.Machine `json:"machine"`
	Settings []Setting    `json:"settings"`
	Figures  []Figure     `json:"figures"`
	Noise    *host.Noise  `json:"noise,omitempty"`  // nil where figures are counts
	Faults   []string     `json:"faults,omitempty"` // what went wrong; the figures hold for nothing then

	used time.Duration // CPU of our own while it ran
}

// Setting is one condition of the measurement.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Figure is one result: a number with its unit, and what it says.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Says  string  `json:"says"`
}

func newReport(part, command, dir string) *Report {
	b := obs.Stamp()
	return &Report{Part: part, Command: command, At: time.Now().UTC().Truncate(time.Second), Version: b.Version, Commit: b.Commit, Machine: host.Describe(dir)}
}

func (r *Report) set(name, format string, args ...any) {
	r.Settings = append(r.Settings, Setting{name, fmt.Sprintf(format, args...)})
}

func (r *Report) add(name string, value float64, unit, says string) {
	r.Figures = append(r.Figures, Figure{name, value, unit, says})
}

// Figure returns the value of a figure by name.
func (r *Report) Figure(name string) (float64, bool) {
	for _, f := range r.Figures {
		if f.Name == name {
			return f.Value, true
		}
	}
	return 0, false
}

// WriteJSON writes the report for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	m := r.Machine
	fmt.Fprintf(w, "eyrie bench %s   %s\n%s\n", r.Part, r.At.Format(time.RFC3339), r.Command)
	fmt.Fprintf(w, "machine   %s, %d cores, %d MiB, Linux %s, data on %s\n", m.CPU, m.Cores, m.Memory, m.Kernel, m.Disk)
	fmt.Fprintf(w, "eyrie     %s (%s), %s %s\n", r.Version, short(r.Commit), m.Go, m.Arch)
	if r.Noise != nil {
		r.writeNoise(w)
	}
	for _, s := range r.Settings {
		fmt.Fprintf(w, "%-9s %s\n", s.Name, s.Value)
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range r.Figures {
		fmt.Fprintf(t, "%s\t%*s\t%s\t%s\n", f.Name, 11, figure(f.Value), f.Unit, f.Says)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, f := range r.Faults {
		fmt.Fprintf(w, "FAULT     %s\n", f)
	}
	return nil
}

func (r *Report) writeNoise(w io.Writer) {
	fmt.Fprintf(w, "noise     others %.1f %%, steal %.1f %% of the cores: ", 100*r.Noise.OtherShare, 100*r.Noise.StealShare)
	if r.Noise.Trusted {
		fmt.Fprintln(w, "quiet enough")
	} else {
		fmt.Fprintf(w, "NOT TO BE TRUSTED, %s\n", r.Noise.Why)
	}
}

func short(s string) string { return s[:min(len(s), 12)] }

// figure prints a number with about three digits that count.
func figure(v float64) string {
	switch a := max(v, -v); {
	case a >= 1000:
		return thousands(fmt.Sprintf("%.0f", v))
	case a >= 100 || v == float64(int64(v)):
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func thousands(s string) string {
	var b strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 && s[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return b.String()
}
