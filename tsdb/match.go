package tsdb

import (
	"fmt"
	"regexp"
)

// MatchType says how a Matcher compares.
type MatchType uint8

// Matchers compare as Prometheus' do: an absent label has the value "", and
// an expression must match the whole value.
const (
	Equal MatchType = iota
	NotEqual
	Regexp
	NotRegexp
)

// Matcher selects series by one label. Make one with NewMatcher.
type Matcher struct {
	Type        MatchType
	Name, Value string
	re          *regexp.Regexp
}

// NewMatcher makes a matcher; the error is that of the expression.
func NewMatcher(t MatchType, name, value string) (Matcher, error) {
	m := Matcher{Type: t, Name: name, Value: value}
	if t == Regexp || t == NotRegexp {
		re, err := regexp.Compile("^(?s:" + value + ")$")
		if err != nil {
			return m, fmt.Errorf("tsdb: matcher for %q: %w", name, err)
		}
		m.re = re
	}
	return m, nil
}

// Eq is the matcher name = value.
func Eq(name, value string) Matcher { return Matcher{Name: name, Value: value} }

// Matches tells whether the label's value suits.
func (m *Matcher) Matches(v string) bool {
	switch m.Type {
	case Equal:
		return v == m.Value
	case NotEqual:
		return v != m.Value
	case Regexp:
		return m.re.MatchString(v)
	default:
		return !m.re.MatchString(v)
	}
}
