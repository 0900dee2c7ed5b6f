package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"eyrie/appliance/capacity"
	"eyrie/appliance/obs"
	"eyrie/bench/host"
	"eyrie/bench/stats"
)

// Report is what every part of bench answers.
type Report struct {
	Part     string       `json:"part"`
	Command  string       `json:"command"`
	At       time.Time    `json:"at"`
	Version  string       `json:"version"`
	Commit   string       `json:"commit"`
	Machine  host.Machine `json:"machine"`
	Says     []string     `json:"says,omitempty"` // what the reader is to know first, a sentence each
	Settings []Setting    `json:"settings"`
	Figures  []Figure     `json:"figures"`
	Curves   []Curve      `json:"curves,omitempty"`
	Noise    *host.Noise  `json:"noise,omitempty"`  // nil where figures are counts
	Faults   []string     `json:"faults,omitempty"` // what went wrong; the figures hold for nothing then
	Parts    []*Report    `json:"parts,omitempty"`  // of a whole run

	Unfinished []string `json:"unfinished,omitempty"` // what the time was too short for; the other figures hold

	Costs *capacity.Costs `json:"costs,omitempty"` // of a whole run: what eyrie plan reckons with

	Used time.Duration `json:"-"` // CPU of our own while it ran
}

// Setting is one condition of the measurement.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Figure is one result: a number with its unit, and what it says.
type Figure struct {
	Name     string      `json:"name"`
	Value    float64     `json:"value"`
	Unit     string      `json:"unit"`
	Says     string      `json:"says"`
	Interval *[2]float64 `json:"interval_95,omitempty"` // where it was measured more than once
	Rounds   []float64   `json:"rounds,omitempty"`      // and what each time gave
}

// Curve is a plot: lines over one pair of axes.
type Curve struct {
	Title string `json:"title"`
	Says  string `json:"says"` // what to read off it
	X     Axis   `json:"x"`
	Y     Axis   `json:"y"`
	Lines []Line `json:"lines"`
}

// finite tells whether v is a number.
func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// finite are the curve's lines without points that are no numbers.
func (c *Curve) finite() []Line {
	lines := slices.Clone(c.Lines)
	for i := range lines {
		lines[i].Points = slices.DeleteFunc(slices.Clone(lines[i].Points), func(p [2]float64) bool { return !finite(p[0]) || !finite(p[1]) })
	}
	return lines
}

// MarshalJSON leaves out points that are no numbers, which JSON has none of.
func (c Curve) MarshalJSON() ([]byte, error) {
	type plain Curve
	c.Lines = c.finite()
	return json.Marshal(plain(c))
}

// Axis is what a plot's axis shows.
type Axis struct {
	Name string `json:"name"`
	Unit string `json:"unit"`
	Log  bool   `json:"log,omitempty"` // powers of ten; all values positive
}

// Line is one line of a plot: pairs of x and y, x ascending.
type Line struct {
	Name   string       `json:"name"`
	Points [][2]float64 `json:"points"`
}

// New begins the report of a part; dir is where its data lies.
func New(part, command, dir string) *Report {
	b := obs.Stamp()
	return &Report{Part: part, Command: command, At: time.Now().UTC().Truncate(time.Second), Version: b.Version, Commit: b.Commit, Machine: host.Describe(dir)}
}

// Set adds a condition.
func (r *Report) Set(name, format string, args ...any) {
	r.Settings = append(r.Settings, Setting{name, fmt.Sprintf(format, args...)})
}

// Add adds a figure that was measured once. What is no number is a fault instead:
// JSON has none, and the rest of a report must not be lost for it.
func (r *Report) Add(name string, value float64, unit, says string) {
	if !finite(value) {
		r.Fault("%s: nothing to measure it by: %v %s", name, value, unit)
		return
	}
	r.Figures = append(r.Figures, Figure{Name: name, Value: value, Unit: unit, Says: says})
}

// AddRounds adds a figure that was measured in several rounds: their geometric mean
// with its 95 % interval. Where one is not above 0 that is a fault, as in Add.
func (r *Report) AddRounds(name string, rounds []float64, unit, says string) {
	mean, low, high := stats.Mean(rounds)
	if !finite(mean) || !finite(low) || !finite(high) {
		r.Fault("%s: nothing to measure it by: rounds of %v %s", name, rounds, unit)
		return
	}
	f := Figure{Name: name, Value: mean, Unit: unit, Says: says, Rounds: rounds}
	if len(rounds) > 1 {
		f.Interval = &[2]float64{low, high}
	}
	r.Figures = append(r.Figures, f)
}

// AddRatio adds how many times a is b, over pairs measured next to each other.
func (r *Report) AddRatio(name string, a, b []float64, says string) {
	rounds := make([]float64, len(a))
	for i := range a {
		rounds[i] = a[i] / b[i]
	}
	r.AddRounds(name, rounds, Times, says)
}

// Units of ratios.
const (
	Times = "times"
	PerMB = "events/MB" // of what a core compressed meanwhile
)

// Doubt adds a reason why the figures are not to be trusted.
func (r *Report) Doubt(format string, args ...any) {
	if r.Noise == nil {
		r.Noise = &host.Noise{Trusted: true}
	}
	if r.Noise.Trusted = false; r.Noise.Why != "" {
		r.Noise.Why += "; "
	}
	r.Noise.Why += fmt.Sprintf(format, args...)
}

// Fault adds what went wrong.
func (r *Report) Fault(format string, args ...any) {
	r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
}

// Unfinish adds what the time was too short for.
func (r *Report) Unfinish(format string, args ...any) {
	r.Unfinished = append(r.Unfinished, fmt.Sprintf(format, args...))
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

// Read reads the reports of a JSON file, or of every *.json of a folder.
func Read(path string) ([]*Report, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	files := []string{path}
	if st.IsDir() {
		if files, err = filepath.Glob(filepath.Join(path, "*.json")); err != nil {
			return nil, err
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("%s: no *.json in it", path)
		}
	}
	var out []*Report
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		r := &Report{}
		if err := json.Unmarshal(b, r); err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		if r.Part == "" {
			return nil, fmt.Errorf("%s: no report of eyrie bench", f)
		}
		out = append(out, r)
	}
	return out, nil
}
