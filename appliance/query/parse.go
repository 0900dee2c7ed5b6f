package query

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Limits of one query: longer or deeper ones are refused with an Error.
const (
	MaxBytes = 4096
	maxDepth = 32
)

// Error says where a query stopped making sense. Pos is a byte position.
type Error struct {
	Pos int
	Msg string
}

func (e *Error) Error() string { return fmt.Sprintf("query: at %d: %s", e.Pos, e.Msg) }

// Parse reads a query. The grammar, loosest first:
//
//	or    = and { "OR" and }
//	and   = not { ["AND"] not }
//	not   = ( "NOT" | "-" ) not | "(" or ")" | term
//	term  = field ":" alt { "," alt } | word | "quoted words"
//	alt   = value | value ".." value | (">" | ">=" | "<" | "<=") value | "*"
//
// Values compare without case; * inside one stands for any text. Numbers take
// the units k, M, G, ms, s, m, h, d and a leading $ (dollars to nano-dollars).
// An empty text is the query that matches everything.
func Parse(text string) (*Query, error) {
	if len(text) > MaxBytes {
		return nil, &Error{MaxBytes, fmt.Sprintf("longer than %d bytes", MaxBytes)}
	}
	p := parser{s: text}
	q := &Query{text: text}
	p.space()
	if p.i == len(p.s) {
		return q, nil
	}
	n, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if p.i < len(p.s) {
		return nil, p.fail("unexpected %q", p.s[p.i])
	}
	q.root = n
	return q, nil
}

type parser struct {
	s string
	i int
}

func (p *parser) fail(format string, a ...any) error {
	return &Error{p.i, fmt.Sprintf(format, a...)}
}

func (p *parser) space() {
	for p.i < len(p.s) && isSpace(p.s[p.i]) {
		p.i++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// keyword eats an upper-case word that stands alone.
func (p *parser) keyword(w string) bool {
	rest := p.s[p.i:]
	if !strings.HasPrefix(rest, w) {
		return false
	}
	if len(rest) > len(w) && !isSpace(rest[len(w)]) && rest[len(w)] != '(' {
		return false
	}
	p.i += len(w)
	p.space()
	return true
}

func (p *parser) or(depth int) (node, error) {
	var alts orNode
	for {
		n, err := p.and(depth)
		if err != nil {
			return nil, err
		}
		alts = append(alts, n)
		if !p.keyword("OR") {
			break
		}
	}
	if len(alts) == 1 {
		return alts[0], nil
	}
	return alts, nil
}

func (p *parser) and(depth int) (node, error) {
	var all andNode
	for {
		n, err := p.not(depth)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
		p.space()
		if p.i == len(p.s) || p.s[p.i] == ')' {
			break
		}
		mark := p.i
		if p.keyword("OR") {
			p.i = mark
			break
		}
		p.keyword("AND")
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return all, nil
}

func (p *parser) not(depth int) (node, error) {
	if depth > maxDepth {
		return nil, p.fail("nested deeper than %d", maxDepth)
	}
	if p.i == len(p.s) {
		return nil, p.fail("a term is missing at the end")
	}
	dash := p.s[p.i] == '-' && p.i+1 < len(p.s) && !isSpace(p.s[p.i+1])
	if dash {
		p.i++
	}
	if dash || p.keyword("NOT") {
		n, err := p.not(depth + 1)
		if err != nil {
			return nil, err
		}
		return notNode{n}, nil
	}
	if p.s[p.i] == '(' {
		p.i++
		p.space()
		n, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		p.space()
		if p.i == len(p.s) || p.s[p.i] != ')' {
			return nil, p.fail("a closing parenthesis is missing")
		}
		p.i++
		return n, nil
	}
	if p.s[p.i] == ')' {
		return nil, p.fail("a term is missing before )")
	}
	return p.term()
}

func (p *parser) term() (node, error) {
	if p.s[p.i] == '"' {
		w, err := p.quoted()
		if err != nil {
			return nil, err
		}
		return newWord(w), nil
	}
	start := p.i
	for p.i < len(p.s) && !isSpace(p.s[p.i]) && p.s[p.i] != ')' && p.s[p.i] != '(' {
		if p.s[p.i] == ':' && isField(p.s[start:p.i]) {
			field := strings.ToLower(p.s[start:p.i])
			p.i++
			return p.field(field)
		}
		p.i++
	}
	if p.i == start {
		return nil, p.fail("unexpected %q", p.s[p.i])
	}
	return newWord(p.s[start:p.i]), nil
}

func isField(s string) bool {
	if s == "" || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-' || c == '/') {
			return false
		}
	}
	return true
}

func (p *parser) field(name string) (node, error) {
	n := &fieldNode{field: name}
	for {
		t, err := p.alt()
		if err != nil {
			return nil, err
		}
		n.alts = append(n.alts, t)
		if p.i == len(p.s) || p.s[p.i] != ',' {
			return n, nil
		}
		p.i++
	}
}

func (p *parser) alt() (test, error) {
	if p.i < len(p.s) && p.s[p.i] == '"' {
		w, err := p.quoted()
		return exact(w), err
	}
	start := p.i
	for p.i < len(p.s) && !isSpace(p.s[p.i]) && p.s[p.i] != ',' && p.s[p.i] != ')' && p.s[p.i] != '(' {
		p.i++
	}
	raw := p.s[start:p.i]
	if raw == "" {
		return test{}, p.fail("a value is missing")
	}
	if raw == "*" {
		return test{any: true}, nil
	}
	if t, ok, err := comparison(raw); ok || err != "" {
		if err != "" {
			p.i = start
			return test{}, p.fail("%s", err)
		}
		return t, nil
	}
	return exact(raw), nil
}

// exact is a value compared as text, and as a number where it reads as one.
func exact(raw string) test {
	t := test{text: lower(raw), glob: strings.Contains(raw, "*")}
	if x, ok := number(raw); ok {
		t.number, t.lo, t.hi = true, x, x
	}
	return t
}

func comparison(raw string) (t test, ok bool, fault string) {
	t = test{onlyNo: true, number: true, lo: math.Inf(-1), hi: math.Inf(1)}
	op := ""
	for _, o := range [...]string{">=", "<=", ">", "<"} {
		if strings.HasPrefix(raw, o) {
			op = o
			break
		}
	}
	if op != "" {
		x, good := number(raw[len(op):])
		if !good {
			return t, false, fmt.Sprintf("%q is not a number", raw[len(op):])
		}
		if op[0] == '>' {
			t.lo, t.loOpen = x, op == ">"
		} else {
			t.hi, t.hiOpen = x, op == "<"
		}
		return t, true, ""
	}
	lo, hi, found := strings.Cut(raw, "..")
	if !found {
		return t, false, ""
	}
	a, good := number(lo)
	b, also := number(hi)
	if lo == "" {
		a, good = t.lo, hi != ""
	}
	if hi == "" {
		b, also = t.hi, lo != ""
	}
	if !good || !also {
		return t, false, ""
	}
	t.lo, t.hi = a, b
	return t, true, ""
}

var units = [...]struct {
	suffix string
	factor float64
}{{"ms", 1}, {"k", 1e3}, {"M", 1e6}, {"G", 1e9}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3}, {"d", 86400e3}}

// number reads 12, -1.5, 10k, 5s, 3m, $0.25; hexadecimal, Inf and NaN are text.
func number(s string) (float64, bool) {
	factor := 1.0
	if strings.HasPrefix(s, "$") {
		s, factor = s[1:], 1e9
	} else {
		for _, u := range units {
			if strings.HasSuffix(s, u.suffix) {
				s, factor = s[:len(s)-len(u.suffix)], u.factor
				break
			}
		}
	}
	if s == "" || strings.ContainsAny(s, "xXiInN_pP") {
		return 0, false
	}
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, false
	}
	return x * factor, true
}

func (p *parser) quoted() (string, error) {
	start := p.i
	p.i++
	var b strings.Builder
	for p.i < len(p.s) {
		switch c := p.s[p.i]; c {
		case '"':
			p.i++
			return b.String(), nil
		case '\\':
			if p.i+1 < len(p.s) {
				p.i++
			}
			b.WriteByte(p.s[p.i])
		default:
			b.WriteByte(c)
		}
		p.i++
	}
	p.i = start
	return "", p.fail("a closing quote is missing")
}
