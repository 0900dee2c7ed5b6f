package query

import (
	"bytes"
	"slices"
	"unicode"
	"unicode/utf8"
)

// Words are what the raw bytes of a row must hold for a query to match it: of
// each clause one of the alternatives. They are necessary, not sufficient. The
// zero value asks for nothing.
type Words struct{ clauses [][]needle }

// Words returns what the query needs. It applies to rows whose texts all lie in
// the bytes as UTF-8, each in one piece; raw tells of which fields the same is
// true: that they are absent, a number or bool, or such a text as a whole.
func (q *Query) Words(raw func(field string) bool) Words {
	if q.Empty() {
		return Words{}
	}
	return Words{clausesOf(q.root, raw)}
}

// Exact adds a text that must be there as it is.
func (w *Words) Exact(s string) {
	if s != "" {
		w.clauses = append(w.clauses, []needle{newNeedle([]byte(s), true)})
	}
}

// Empty tells that nothing is asked for.
func (w *Words) Empty() bool { return len(w.clauses) == 0 }

// In tells whether b may hold a row that matches.
func (w *Words) In(b []byte) bool { return w.Among([][]byte{b}) }

// Among is In for the bytes of many rows, in pieces of which each text lies in one.
func (w *Words) Among(pieces [][]byte) bool {
	for i := range w.clauses {
		if !slices.ContainsFunc(pieces, func(b []byte) bool { return anyIn(w.clauses[i], b) }) {
			return false
		}
	}
	return true
}

// May tells whether In may be true of what may knows of: whether a text can be in it,
// whatever the case of its ASCII letters.
func (w *Words) May(may func(text []byte) bool) bool {
	for _, alts := range w.clauses {
		if !slices.ContainsFunc(alts, func(n needle) bool { return may(n.low) }) {
			return false
		}
	}
	return true
}

// Without splits off the clauses that one of the texts satisfies: what is left
// must be in the bytes of any row, the rest may be in those texts instead.
func (w *Words) Without(texts func(found func(text string) bool)) (left Words) {
	open := append([][]needle(nil), w.clauses...)
	texts(func(text string) bool {
		for i := 0; i < len(open); i++ {
			if anyIn(open[i], []byte(text)) {
				open = append(open[:i], open[i+1:]...)
				i--
			}
		}
		return len(open) == 0
	})
	return Words{open}
}

// InEither is In for a row that has a text beside its bytes.
func (w *Words) InEither(b []byte, text string) bool {
	for i := range w.clauses {
		if !anyIn(w.clauses[i], b) && !anyIn(w.clauses[i], []byte(text)) {
			return false
		}
	}
	return true
}

func anyIn(alts []needle, b []byte) bool {
	for i := range alts {
		if alts[i].in(b) {
			return true
		}
	}
	return false
}

// clausesOf returns the clauses of a part of the query; none where it may match
// without any particular bytes.
func clausesOf(n node, raw func(string) bool) [][]needle {
	switch n := n.(type) {
	case andNode:
		var all [][]needle
		for _, c := range n {
			all = append(all, clausesOf(c, raw)...)
		}
		return all
	case orNode:
		var alts []needle
		for _, c := range n {
			best := longest(clausesOf(c, raw))
			if best == nil {
				return nil
			}
			alts = append(alts, best...)
		}
		return [][]needle{alts}
	case wordNode:
		if x, ok := runOf(n.text); ok && !n.number {
			return [][]needle{{x}}
		}
	case *fieldNode:
		if !raw(n.field) {
			return nil
		}
		var alts []needle
		for i := range n.alts {
			x, ok := n.alts[i].run()
			if !ok {
				return nil
			}
			alts = append(alts, x)
		}
		return [][]needle{alts}
	}
	return nil
}

// longest returns the clause whose shortest alternative is the longest.
func longest(clauses [][]needle) (best []needle) {
	most := 0
	for _, c := range clauses {
		least := len(c[0].low)
		for _, x := range c {
			least = min(least, len(x.low))
		}
		if least > most {
			most, best = least, c
		}
	}
	return best
}

// run returns what a text must hold to pass the test.
func (t *test) run() (needle, bool) {
	if t.any || t.number || t.onlyNo {
		return needle{}, false
	}
	if _, ok := truth(t.text); ok {
		return needle{}, false
	}
	return runOf(t.text, '*')
}

// runOf returns the longest piece of a lower-cased text that looks the same in
// every text that folds to it, but for ASCII letters. Runes in breaks end a piece.
func runOf(text string, breaks ...rune) (needle, bool) {
	best, from := "", 0
	cut := func(end int) {
		if end-from > len(best) {
			best = text[from:end]
		}
	}
	for i, r := range text {
		broken := r >= utf8.RuneSelf && !caseless(r)
		for _, b := range breaks {
			broken = broken || r == b
		}
		if broken {
			cut(i)
			from = i + utf8.RuneLen(r)
		}
	}
	cut(len(text))
	return newNeedle([]byte(best), false), best != ""
}

// caseless tells that only the rune itself folds to it.
func caseless(r rune) bool {
	return unicode.SimpleFold(r) == r && unicode.ToLower(r) == r && r != utf8.RuneError
}

// needle is a piece of text sought in bytes: ASCII letters in either case, unless
// exact, all else as it is.
type needle struct {
	low   []byte
	exact bool
	rare  int  // index of its byte that is the least frequent one
	other byte // that byte in the other case, or the same
}

func newNeedle(low []byte, exact bool) needle {
	n := needle{low: low, exact: exact}
	for i, c := range low {
		if frequency(c) < frequency(low[n.rare]) {
			n.rare = i
		}
	}
	if len(low) > 0 {
		if n.other = low[n.rare]; !exact && n.other >= 'a' && n.other <= 'z' {
			n.other -= 'a' - 'A'
		}
	}
	return n
}

// frequency ranks bytes by how often they are in events: letters of texts and
// names first, digits of ids, then the rest.
func frequency(c byte) int {
	const order = "etaonirsdlcupmhgf_bvwy0123456789kx. jqz-/"
	if i := bytes.IndexByte([]byte(order), c); i >= 0 {
		return len(order) - i + 1
	}
	if c < 0x20 || c >= 0x80 { // lengths and kinds of MessagePack
		return 8
	}
	return 0
}

// in finds the rare byte, in one case and the other, and looks around it.
func (n *needle) in(b []byte) bool {
	if len(n.low) == 0 {
		return true
	}
	if len(b) < len(n.low) {
		return false
	}
	// Where the rare byte may be, b begins at n.rare and ends before what follows it.
	first, last := n.rare, len(b)-(len(n.low)-n.rare)+1
	c := n.low[n.rare]
	at := next(b, c, first, last)
	if n.other == c {
		for ; at < last; at = next(b, c, at+1, last) {
			if n.at(b[at-n.rare:]) {
				return true
			}
		}
		return false
	}
	up := next(b, n.other, first, last)
	for at < last || up < last {
		if at < up {
			if n.at(b[at-n.rare:]) {
				return true
			}
			at = next(b, c, at+1, last)
			continue
		}
		if n.at(b[up-n.rare:]) {
			return true
		}
		up = next(b, n.other, up+1, last)
	}
	return false
}

// next returns the index of c in b[from:end], else end.
func next(b []byte, c byte, from, end int) int {
	if from >= end {
		return end
	}
	if i := bytes.IndexByte(b[from:end], c); i >= 0 {
		return from + i
	}
	return end
}

// at tells whether b begins with the needle.
func (n *needle) at(b []byte) bool {
	if n.exact {
		return bytes.HasPrefix(b, n.low)
	}
	for i, want := range n.low {
		c := b[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != want {
			return false
		}
	}
	return true
}
