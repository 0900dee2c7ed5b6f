package query

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Query is a parsed query. The zero value and nil match every row.
type Query struct {
	text string
	root node
}

// String returns the text the query was parsed from.
func (q *Query) String() string {
	if q == nil {
		return ""
	}
	return q.text
}

// Empty reports whether the query matches everything.
func (q *Query) Empty() bool { return q == nil || q.root == nil }

// Match reports whether the row satisfies the query.
func (q *Query) Match(r Row) bool { return q.Empty() || q.root.match(r) }

type node interface{ match(Row) bool }

type andNode []node

func (n andNode) match(r Row) bool {
	for _, c := range n {
		if !c.match(r) {
			return false
		}
	}
	return true
}

type orNode []node

func (n orNode) match(r Row) bool {
	for _, c := range n {
		if c.match(r) {
			return true
		}
	}
	return false
}

type notNode struct{ node }

func (n notNode) match(r Row) bool { return !n.node.match(r) }

// wordNode is free text: found in any of the row's texts, whatever the case.
type wordNode string

func (n wordNode) match(r Row) bool {
	return r.Texts(func(s string) bool { return containsFold(s, string(n)) })
}

// fieldNode is field:value with one or more alternatives.
type fieldNode struct {
	field string
	alts  []test
}

func (n *fieldNode) match(r Row) bool {
	v := r.Field(n.field)
	for i := range n.alts {
		if n.alts[i].match(v) {
			return true
		}
	}
	return false
}

// test is one alternative: a text with * wildcards, and, where it reads as a
// number, a range of numbers (closed; open ends are infinite).
type test struct {
	any    bool // field:* : the field is there
	text   string
	glob   bool
	number bool
	lo, hi float64
	loOpen bool
	hiOpen bool
	onlyNo bool // a range: never compared as text
}

func (t *test) match(v Value) bool {
	if v.Kind == None {
		return false
	}
	if t.any {
		return true
	}
	switch v.Kind {
	case Number:
		if !t.number {
			return false
		}
		if v.Num < t.lo || v.Num > t.hi {
			return false
		}
		return !(t.loOpen && v.Num == t.lo) && !(t.hiOpen && v.Num == t.hi)
	case Bool:
		if t.onlyNo {
			return false
		}
		b, ok := truth(t.text)
		return ok && b == (v.Num != 0)
	}
	if t.onlyNo {
		return false
	}
	if t.glob {
		return globFold(t.text, v.Str)
	}
	return equalFold(t.text, v.Str)
}

func truth(s string) (val, ok bool) {
	switch s {
	case "1", "true", "yes":
		return true, true
	case "0", "false", "no":
		return false, true
	}
	return false, false
}

// equalFold compares a lower-cased pattern with any text.
func equalFold(lower, s string) bool {
	if len(lower) == len(s) && lower == s {
		return true
	}
	return strings.EqualFold(lower, s)
}

// containsFold finds a lower-cased needle in s, whatever the case of s.
func containsFold(s, lower string) bool {
	if lower == "" {
		return true
	}
	for i := 0; i < len(s); {
		if hasPrefixFold(s[i:], lower) {
			return true
		}
		_, n := utf8.DecodeRuneInString(s[i:])
		i += n
	}
	return false
}

func hasPrefixFold(s, lower string) bool {
	for lower != "" {
		if s == "" {
			return false
		}
		a, n := utf8.DecodeRuneInString(s)
		b, m := utf8.DecodeRuneInString(lower)
		if a != b && unicode.ToLower(a) != b {
			return false
		}
		s, lower = s[n:], lower[m:]
	}
	return true
}

// globFold matches a lower-cased pattern with * against all of s, in time
// linear in the length of s for each star.
func globFold(pat, s string) bool {
	parts := strings.Split(pat, "*")
	first, last := parts[0], parts[len(parts)-1]
	low := strings.ToLower(s)
	if !strings.HasPrefix(low, first) {
		return false
	}
	low = low[len(first):]
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(low, p)
		if i < 0 {
			return false
		}
		low = low[i+len(p):]
	}
	return len(low) >= len(last) && strings.HasSuffix(low, last)
}
