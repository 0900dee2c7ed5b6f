package config

import (
	"fmt"
	"io"
	"reflect"
	"slices"

	"github.com/alecthomas/kong"
)

// Value is one key in force.
type Value struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	// From is "flag", "variable NAME", "file PATH", "default" or "tuned".
	From string `json:"from"`
	// Why says how a tuned value was chosen; empty for all others.
	Why string `json:"why,omitempty"`
	// Chosen is set for what is always chosen for the host: no key sets it.
	Chosen bool `json:"chosen,omitempty"`
}

// Tuned is a value that the appliance chose for this host.
type Tuned struct{ Key, Value, Why string }

// Values lists every key of c in the order of the type, with its origin. k is
// the parsed command line (nil: none), f the file (nil: none); tuned replaces
// the values that the appliance chose itself. What it always chooses, which is
// no key, comes last.
func Values(c *Config, k *kong.Context, f *File, tuned []Tuned) []Value {
	flags := make(map[string]bool)
	if k != nil {
		for _, p := range k.Path {
			if p.Flag != nil && !p.Resolved {
				flags[p.Flag.Name] = true
			}
		}
	}
	t := reflect.TypeOf(*c)
	v := reflect.ValueOf(*c)
	out := make([]Value, 0, t.NumField())
	for i := range t.NumField() {
		key := t.Field(i).Tag.Get("name")
		val := Value{Key: key, Value: fmt.Sprint(v.Field(i).Interface()), From: "default"}
		switch variable, _ := lookupVariable(key); {
		case flags[key]:
			val.From = "flag"
		case variable:
			val.From = "variable " + Variable(key)
		case f != nil && f.Has(key):
			val.From = "file " + f.Path
		}
		for _, t := range tuned {
			if t.Key == key && val.From == "default" {
				val.Value, val.From, val.Why = t.Value, "tuned", t.Why
			}
		}
		out = append(out, val)
	}
	for _, w := range tuned {
		if !slices.ContainsFunc(out, func(v Value) bool { return v.Key == w.Key }) {
			out = append(out, Value{Key: w.Key, Value: w.Value, From: "tuned", Why: w.Why, Chosen: true})
		}
	}
	return out
}

// Print writes vs as a YAML file with the origin of each value behind it; the
// output is itself a valid configuration file: what is no key is a comment.
func Print(w io.Writer, vs []Value) error {
	for _, v := range vs {
		from := v.From
		if v.Why != "" {
			from += ": " + v.Why
		}
		line := v.Key + ": " + quote(v.Value)
		if v.Chosen {
			line = "# " + line
		}
		if _, err := fmt.Fprintf(w, "%-36s # %s\n", line, from); err != nil {
			return err
		}
	}
	return nil
}

// quote writes a scalar so that YAML reads the same text back.
func quote(s string) string {
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '/' || r == '-' || r == '_') {
			return fmt.Sprintf("%q", s)
		}
	}
	return s
}
