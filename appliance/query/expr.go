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

// wordNode is free text: found in any of the row's texts, whatever the case. A
// word that reads as a number is also found where a number of the row is written so.
type wordNode struct {
	text   string
	number bool
}

func newWord(s string) wordNode {
	w := wordNode{text: lower(s)}
	digit := false
	for i := range len(s) {
		c := s[i]
		if digit = digit || c >= '0' && c <= '9'; !(c >= '0' && c <= '9') && !strings.ContainsRune("+-.eE", rune(c)) {
			return w
		}
	}
	w.number = digit
	return w
}

func (n wordNode) match(r Row) bool {
	if r.Texts(func(s string) bool { return containsFold(s, n.text) }) {
		return true
	}
	if x, ok := r.(Numbered); ok && n.number {
		return x.Numbers(func(s string) bool { return equalFold(n.text, s) })
	}
	return false
}

// fieldNode is field:value with one or more alternatives.
type fieldNode struct {
	field string
	alts  []test
}

func (n *fieldNode) match(r Row) bool {
	if n.is(r.Field(n.field)) {
		return true
	}
	x, ok := r.(Several)
	return ok && x.Each(n.field, n.is)
}

func (n *fieldNode) is(v Value) bool {
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

// fold is the one folding of case: the simple lower case, which never leads
// from outside ASCII into it, so that an ASCII byte stands for itself and its
// other case alone.
func fold(r rune) rune {
	if r < utf8.RuneSelf {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}
	if l := unicode.ToLower(r); l >= utf8.RuneSelf {
		return l
	}
	return r
}

func lower(s string) string { return strings.Map(fold, s) }

// equalFold compares a lower-cased pattern with any text.
func equalFold(lower, s string) bool {
	if lower == s {
		return true
	}
	n, ok := prefixFold(s, lower)
	return ok && n == len(s)
}

// containsFold finds a lower-cased needle in s, whatever the case of s.
func containsFold(s, lower string) bool {
	if lower == "" {
		return true
	}
	for i := 0; i < len(s); {
		if _, ok := prefixFold(s[i:], lower); ok {
			return true
		}
		_, n := utf8.DecodeRuneInString(s[i:])
		i += n
	}
	return false
}

// prefixFold tells whether s begins with a lower-cased text, and how many bytes
// of s that is.
func prefixFold(s, lower string) (int, bool) {
	n := len(s)
	for lower != "" {
		if s == "" {
			return 0, false
		}
		if c := s[0]; c < utf8.RuneSelf && lower[0] < utf8.RuneSelf {
			if c >= 'A' && c <= 'Z' {
				c += 'a' - 'A'
			}
			if c != lower[0] {
				return 0, false
			}
			s, lower = s[1:], lower[1:]
			continue
		}
		a, i := utf8.DecodeRuneInString(s)
		b, j := utf8.DecodeRuneInString(lower)
		if fold(a) != b {
			return 0, false
		}
		s, lower = s[i:], lower[j:]
	}
	return n - len(s), true
}

// globFold matches a lower-cased pattern with * against all of s, in time
// linear in the length of s for each star.
func globFold(pat, s string) bool {
	parts := strings.Split(pat, "*")
	first, last := parts[0], parts[len(parts)-1]
	low := lower(s)
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
