package tsdb

import (
	"slices"
	"strings"
)

// MetricName is the label that holds the metric's name.
const MetricName = "__name__"

// Label is one name and value.
type Label struct{ Name, Value string }

// Labels are sorted by name, each name once, no value empty.
type Labels []Label

// NewLabels makes Labels of name, value, name, value…; a later value of the
// same name wins, an empty one drops it.
func NewLabels(pairs ...string) Labels {
	ls := make(Labels, 0, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		ls = append(ls, Label{pairs[i], pairs[i+1]})
	}
	return ls.normal()
}

// normal sorts, keeps the last of each name and drops empty values, in place.
func (ls Labels) normal() Labels {
	ok := true
	for i, l := range ls {
		if l.Value == "" || i > 0 && ls[i-1].Name >= l.Name {
			ok = false
			break
		}
	}
	if ok {
		return ls
	}
	ls = slices.Clone(ls)
	slices.SortStableFunc(ls, func(a, b Label) int { return strings.Compare(a.Name, b.Name) })
	out := ls[:0]
	for i, l := range ls {
		if i+1 < len(ls) && ls[i+1].Name == l.Name || l.Value == "" {
			continue
		}
		out = append(out, l)
	}
	return out
}

// Get returns the value of a label, "" when it is absent.
func (ls Labels) Get(name string) string {
	for _, l := range ls {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

// Clone copies ls, for keeping what a callback only lends.
func (ls Labels) Clone() Labels { return slices.Clone(ls) }
