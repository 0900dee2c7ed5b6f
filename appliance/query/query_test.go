package query

import (
	"errors"
	"strings"
	"testing"
)

type row map[string]Value

func (r row) Field(n string) Value { return r[n] }
func (r row) Texts(fn func(string) bool) bool {
	for _, v := range r {
		if v.Kind == Text && fn(v.Str) {
			return true
		}
	}
	return false
}

var sample = row{
	"state": T("stuck"), "tool": T("Bash"), "space": T("main"), "msg": T("run Db Migration ÄPFEL?"),
	"cost": N(2.5e8), "tokens": N(12400), "dur": N(90000), "open": B(true), "labels.repo": T("a/b"),
	"name": T("claude-opus-4"), "zero": N(0), "shut": B(false),
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		q    string
		want bool
	}{
		{"", true}, {"   ", true},
		{"state:stuck", true}, {"STATE:Stuck", true}, {"state:idle", false}, {"state:idle,stuck", true},
		{"tool:bash", true}, {"tool:B*", true}, {"tool:*s*", true}, {"tool:x*", false}, {"tool:*", true}, {"absent:*", false},
		{"name:claude-*-4", true}, {"name:claude-*-5", false}, {"name:*4", true}, {"name:a*a", false},
		{"state:stuck tool:Bash", true}, {"state:stuck AND tool:Read", false}, {"state:idle OR tool:Bash", true},
		{"state:idle tool:Bash OR space:main", true}, {"state:idle (tool:Bash OR space:main)", false},
		{"NOT state:idle", true}, {"-state:stuck", false}, {"NOT (state:stuck tool:Bash)", false}, {"--state:stuck", true},
		{"migration", true}, {"MIGRATION", true}, {`"db migration"`, true}, {`"migration db"`, false}, {"äpfel", true}, {"nowhere", false},
		{"cost:>$0.2", true}, {"cost:>$0.25", false}, {"cost:>=$0.25", true}, {"cost:<$0.25", false}, {"cost:<=$0.25", true},
		{"tokens:10k..20k", true}, {"tokens:..12k", false}, {"tokens:12k..", true}, {"tokens:12400", true}, {"tokens:12.4k", true}, {"tokens:12401", false},
		{"dur:>1m", true}, {"dur:90s", true}, {"dur:>1.5m", false}, {"state:>3", false}, {"state:1..2", false},
		{"open:1", true}, {"open:true", true}, {"open:no", false}, {"shut:0", true}, {"shut:1", false}, {"zero:0", true}, {"zero:*", true},
		{"labels.repo:a/b", true}, {`labels.repo:"a/b"`, true}, {"labels.repo:a/c", false},
		{"tool:Bash,(x)", false},
		{"http://x", false}, {"12:30", false}, {"a - b", true},
	} {
		q, err := Parse(c.q)
		if c.q == "tool:Bash,(x)" || c.q == "http://x" {
			if c.q == "tool:Bash,(x)" && err == nil {
				t.Errorf("%q: want an error", c.q)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", c.q, err)
			continue
		}
		if got := q.Match(sample); got != c.want {
			t.Errorf("%q: got %v, want %v", c.q, got, c.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for q, pos := range map[string]int{
		"(a": 2, "a)": 1, "()": 1, "NOT": 0, "a OR": 4, "state:": 6, "state:a,": 8, `"open`: 0, "cost:>abc": 5,
		strings.Repeat("(", 64) + "a": 33, strings.Repeat("a", MaxBytes+1): MaxBytes,
	} {
		_, err := Parse(q)
		var e *Error
		if q == "NOT" { // a lone keyword is an operator without its operand
			if err == nil {
				t.Errorf("%q: want an error", q)
			}
			continue
		}
		if !errors.As(err, &e) {
			t.Errorf("%.20q: got %v, want an Error", q, err)
			continue
		}
		if e.Pos != pos {
			t.Errorf("%.20q: position %d, want %d (%s)", q, e.Pos, pos, e.Msg)
		}
	}
}

func TestNilMatchesAll(t *testing.T) {
	var q *Query
	if !q.Match(sample) || !q.Empty() || q.String() != "" {
		t.Fatal("a nil query must match everything")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "a b", `x:1..2 OR NOT (y:"q\"" z:>$3)`, "-a:*b*,c", "((", "a:>", "\xff:\xfe", "NOT NOT a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := Parse(s)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Pos < 0 || e.Pos > len(s) {
				t.Fatalf("bad error %#v for %q", err, s)
			}
			return
		}
		got := q.Match(sample)
		if strings.Count(s, `"`) == 0 && !q.Empty() { // negating the whole must negate the answer
			n, err := Parse("NOT (" + s + ")")
			if err == nil && n.Match(sample) == got {
				t.Fatalf("NOT (%q) answers as %q does", s, s)
			}
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	q, _ := Parse("state:stuck tool:B* cost:>$0.1 -space:other")
	b.ReportAllocs()
	for b.Loop() {
		q.Match(sample)
	}
}
