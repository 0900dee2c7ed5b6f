package workload

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"eyrie/engine/wire"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Workload is a load as a small file says it. docs/bench.md tells of each key.
type Workload struct {
	Name  string
	Says  string
	Shape Shape
	Codec wire.Codec
	// Rate is in events/s over all links; 0 is as much as is taken. Of recorded
	// runs Speed may stand in its place: times the recorded pace.
	Rate     float64
	Speed    float64
	Viewers  int
	Queries  float64       // a second, beside the load
	Duration time.Duration // 0 where it does not say
}

// Bounds of what a file may ask for.
const (
	agentsMax      = 10_000_000
	connectionsMax = 1_000_000
	rateMax        = 100_000_000
	viewersMax     = 100_000
	queriesMax     = 100_000
	durationMax    = 30 * 24 * time.Hour
)

// keys are those of a file, each with what takes its value.
var keys = map[string]func(w *Workload, n ast.Node) error{
	"name": func(w *Workload, n ast.Node) error { return str(n, &w.Name) },
	"says": func(w *Workload, n ast.Node) error { return str(n, &w.Says) },
	"seed": func(w *Workload, n ast.Node) error {
		v := 0.0
		err := number(n, &v, 0, 1<<53)
		w.Shape.Seed = uint64(v)
		return whole(err, v)
	},
	"agents":      func(w *Workload, n ast.Node) error { return count(n, &w.Shape.Agents, 1, agentsMax) },
	"connections": func(w *Workload, n ast.Node) error { return count(n, &w.Shape.Connections, 1, connectionsMax) },
	"frame":       func(w *Workload, n ast.Node) error { return count(n, &w.Shape.Frame, 1, 4096) },
	"metrics":     func(w *Workload, n ast.Node) error { return count(n, &w.Shape.Metrics, 1, metricsMax) },
	"viewers":     func(w *Workload, n ast.Node) error { return count(n, &w.Viewers, 0, viewersMax) },
	"queries":     func(w *Workload, n ast.Node) error { return number(n, &w.Queries, 0, queriesMax) },
	"rate":        func(w *Workload, n ast.Node) error { return number(n, &w.Rate, 0, rateMax) },
	"speed":       func(w *Workload, n ast.Node) error { return number(n, &w.Speed, 0.001, 1e6) },
	"codec": func(w *Workload, n ast.Node) error {
		var s string
		if err := str(n, &s); err != nil {
			return err
		}
		c, ok := wire.ParseCodec(s)
		if w.Codec = c; !ok {
			return fmt.Errorf("got %q, want msgpack, json or proto", s)
		}
		return nil
	},
	"events": func(w *Workload, n ast.Node) error {
		var s string
		if err := str(n, &s); err != nil {
			return err
		}
		if w.Shape.Events = Kind(s); !slices.Contains([]Kind{Fleet, Telemetry, Recorded}, w.Shape.Events) {
			return fmt.Errorf("got %q, want fleet, telemetry or recorded", s)
		}
		return nil
	},
	"recordings": func(w *Workload, n ast.Node) error {
		if err := yaml.NodeToValue(n, &w.Shape.Recordings); err != nil {
			return fmt.Errorf("want a list of files")
		}
		return nil
	},
	"duration": func(w *Workload, n ast.Node) (err error) {
		var s string
		if err := str(n, &s); err != nil {
			return err
		}
		if w.Duration, err = time.ParseDuration(s); err != nil || w.Duration < time.Second || w.Duration > durationMax {
			return fmt.Errorf("got %q, want a time from 1s to %v, as 90s, 30m or 2h", s, durationMax)
		}
		return nil
	},
}

// only are keys that one kind of events takes.
var only = map[string]Kind{"metrics": Telemetry, "recordings": Recorded, "speed": Recorded}

// needed are keys that a file must have.
var needed = []string{"name", "agents", "connections"}

// Parse reads a workload file. Errors name file, line and key.
func Parse(path string, b []byte) (*Workload, error) {
	w := &Workload{Shape: Shape{Seed: FigureSeed, Frame: 100, Events: Fleet}}
	f, err := parser.ParseBytes(b, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", path, yaml.FormatError(err, false, true))
	}
	lines := map[string]int{}
	bad := func(line int, key, format string, args ...any) error {
		return fmt.Errorf("%s:%d: %s: %s", path, line, key, fmt.Sprintf(format, args...))
	}
	for _, doc := range f.Docs {
		if doc.Body == nil {
			continue
		}
		m, ok := doc.Body.(ast.MapNode)
		if !ok {
			return nil, fmt.Errorf("%s:%d: got %s, want keys and values", path, doc.Body.GetToken().Position.Line, strings.ToLower(doc.Body.Type().String()))
		}
		for it := m.MapRange(); it.Next(); {
			key := it.Key().GetToken().Value
			line := it.Key().GetToken().Position.Line
			take := keys[key]
			switch {
			case take == nil:
				return nil, bad(line, key, "there is no such key; there are %s", strings.Join(names(), ", "))
			case lines[key] > 0:
				return nil, bad(line, key, "it stands in line %d already", lines[key])
			}
			lines[key] = line
			if err := take(w, it.Value()); err != nil {
				return nil, bad(line, key, "%v", err)
			}
		}
	}
	for i, r := range w.Shape.Recordings {
		if !filepath.IsAbs(r) {
			w.Shape.Recordings[i] = filepath.Join(filepath.Dir(path), r)
		}
	}
	for _, key := range needed {
		if lines[key] == 0 {
			return nil, fmt.Errorf("%s: %s: it is missing", path, key)
		}
	}
	for key, kind := range only {
		if lines[key] > 0 && w.Shape.Events != kind {
			return nil, bad(lines[key], key, "only events: %s take it, not %s", kind, w.Shape.Events)
		}
	}
	if w.Shape.Events == Telemetry && w.Shape.Metrics == 0 {
		w.Shape.Metrics = 10
	}
	if w.Speed > 0 && lines["rate"] > 0 {
		return nil, bad(lines["speed"], "speed", "rate stands in line %d; want one of them", lines["rate"])
	}
	if w.Shape.Events == Recorded {
		if err := w.Pace(); err != nil {
			key := "connections"
			if len(w.Shape.Recordings) > 0 && !strings.HasPrefix(err.Error(), key) {
				key = "recordings"
			}
			return nil, bad(lines[key], key, "%s", strings.TrimPrefix(err.Error(), key+": "))
		}
	}
	return w, nil
}

// Pace makes the rate that Speed asks for of the shape as it is now, where there
// is one; a shape that is changed has to be paced again.
func (w *Workload) Pace() error {
	mk, err := NewMaker(w.Shape)
	if err == nil && w.Speed > 0 {
		w.Rate = w.Speed * mk.Pace()
	}
	return err
}

// names are the keys, for a person.
func names() (out []string) {
	for k := range keys {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func str(n ast.Node, to *string) error {
	if yaml.NodeToValue(n, to) != nil || *to == "" {
		return fmt.Errorf("want a text")
	}
	return nil
}

func number(n ast.Node, to *float64, least, most float64) error {
	if yaml.NodeToValue(n, to) != nil || math.IsNaN(*to) {
		return fmt.Errorf("got %s, want a number", n)
	}
	if *to < least || *to > most {
		return fmt.Errorf("got %s, want %s to %s", n, plain(least), plain(most))
	}
	return nil
}

func count(n ast.Node, to *int, least, most int) error {
	v := 0.0
	err := number(n, &v, float64(least), float64(most))
	*to = int(v)
	return whole(err, v)
}

func whole(err error, v float64) error {
	if err == nil && v != math.Trunc(v) {
		return fmt.Errorf("got %v, want a whole number", v)
	}
	return err
}

// plain prints a number without an exponent.
func plain(v float64) string { return fmt.Sprintf("%.*f", decimals(v), v) }

func decimals(v float64) int {
	if v == math.Trunc(v) {
		return 0
	}
	return 3
}

// Load returns a workload that comes with eyrie, by its name, or that of a file.
func Load(nameOrFile string) (*Workload, error) {
	if b, ok := Shipped(nameOrFile); ok {
		return Parse(nameOrFile+".yaml", b)
	}
	b, err := os.ReadFile(nameOrFile)
	if os.IsNotExist(err) {
		return nil, fmt.Errorf("there is no file %s, and no workload of that name; there are %s", nameOrFile, strings.Join(ShippedNames(), ", "))
	}
	if err != nil {
		return nil, err
	}
	return Parse(nameOrFile, b)
}
