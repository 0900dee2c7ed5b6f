package query

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// numbered is a row whose numbers are not among its bytes.
type numbered struct {
	row
	numbers []string
}

func (r numbered) Numbers(fn func(string) bool) bool { return slices.ContainsFunc(r.numbers, fn) }

// Texts leaves out the one that is a field alone.
func (r numbered) Texts(fn func(string) bool) bool {
	for k, v := range r.row {
		if v.Kind == Text && k != "away" && fn(v.Str) {
			return true
		}
	}
	return false
}

// tricky has letters in several cases, letters that fold into ASCII or in a
// circle, wide ones, and bytes that are no text.
var tricky = []string{"a", "A", "k", "K", "\u212a", "i", "İ", "ı", "s", "ſ", "ß", "ẞ", "σ", "ς", "Σ", "ä", "Ä", "日", "本", "€", "x", "-", ".", " ", "7", "0", "\xff", "\ufffd", "ǅ", "ǆ"}

func drawText(t *rapid.T, most int, name string) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(tricky), 1, most).Draw(t, name), "")
}

// What Words rule out does not match: for any query over any row, whose texts
// lie between any other bytes.
func TestWordsProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := numbered{row: row{}}
		raw := rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "bytes")
		for i := range rapid.IntRange(0, 4).Draw(t, "texts") {
			s := drawText(t, 8, "text")
			r.row[fmt.Sprint("f", i)] = T(s)
			raw = append(append(raw, s...), rapid.SliceOfN(rapid.Byte(), 0, 4).Draw(t, "bytes")...)
		}
		r.row["num"] = N(float64(rapid.IntRange(0, 70).Draw(t, "num")))
		r.row["yes"] = B(true)
		r.row["away"] = T("elsewhere") // not among the bytes
		if rapid.Bool().Draw(t, "numbers") {
			r.numbers = []string{"7", "70"}
		}
		inBytes := func(f string) bool { return f != "away" }
		texts := []string{}
		for k, v := range r.row {
			if v.Kind == Text && k != "away" {
				texts = append(texts, v.Str)
			}
		}
		var term func(depth int) string
		term = func(depth int) string {
			pick := func() string { // often a piece of what is there
				if len(texts) > 0 && rapid.Bool().Draw(t, "there") {
					s := []rune(rapid.SampledFrom(texts).Draw(t, "of"))
					i := rapid.IntRange(0, len(s)-1).Draw(t, "from")
					return string(s[i:rapid.IntRange(i+1, len(s)).Draw(t, "to")])
				}
				return drawText(t, 3, "word")
			}
			quote := func(s string) string {
				if rapid.Bool().Draw(t, "upper") {
					s = strings.ToUpper(s)
				}
				return `"` + s + `"`
			}
			switch rapid.IntRange(0, 8).Draw(t, "term") {
			case 0, 1:
				return quote(pick())
			case 2:
				return fmt.Sprintf("f%d:%s", rapid.IntRange(0, 4).Draw(t, "field"), quote(pick()))
			case 3:
				return fmt.Sprintf(`f%d:"*%s*"`, rapid.IntRange(0, 4).Draw(t, "field"), pick())
			case 4:
				return rapid.SampledFrom([]string{"7", "70", "num:7", "num:>3", "yes:true", "yes:1", "away:elsewhere", "away:else*", "f0:*", "f1:**", "f0:7,k"}).Draw(t, "other")
			}
			if depth > 2 {
				return quote(pick())
			}
			op := rapid.SampledFrom([]string{" ", " OR ", " AND NOT "}).Draw(t, "op")
			return "(" + term(depth+1) + op + term(depth+1) + ")"
		}
		text := term(0)
		q, err := Parse(text)
		if err != nil {
			t.Skip(err)
		}
		w := q.Words(inBytes)
		if q.Match(r) && !w.In(raw) {
			t.Fatalf("%s matches %v, and its words are not in %q", text, r, raw)
		}
	})
}

// No other rune folds to a caseless one, and what lies outside ASCII never folds into it.
func TestCaseless(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		f := fold(r)
		if r >= utf8.RuneSelf && f < utf8.RuneSelf {
			t.Errorf("%U folds into ASCII", r)
		}
		if f != r && f >= utf8.RuneSelf && caseless(f) {
			t.Errorf("%U folds to %U, which is called caseless", r, f)
		}
		if fold(f) != f {
			t.Errorf("%U folds in two steps", r)
		}
	}
}

// A needle is found exactly where the folded bytes hold it.
func TestNeedle(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	const letters = "aAbBzZ\x00-\xc3\xa4"
	for range 200_000 {
		b := make([]byte, rng.IntN(12))
		for i := range b {
			b[i] = letters[rng.IntN(len(letters))]
		}
		low := make([]byte, 1+rng.IntN(3))
		for i := range low {
			low[i] = letters[rng.IntN(len(letters))]
		}
		exact := rng.IntN(2) == 0
		hay := b
		if !exact {
			low, hay = asciiLower(low), asciiLower(b)
		}
		n := newNeedle(low, exact)
		if got, want := n.in(b), bytes.Contains(hay, low); got != want {
			t.Fatalf("%q in %q (exact: %v): got %v", low, b, exact, got)
		}
	}
}

func asciiLower(b []byte) []byte {
	out := bytes.Clone(b)
	for i, c := range out {
		if c >= 'A' && c <= 'Z' {
			out[i] = c + 'a' - 'A'
		}
	}
	return out
}

func TestWordsWithout(t *testing.T) {
	q, err := Parse("alpha beta gamma")
	if err != nil {
		t.Fatal(err)
	}
	w := q.Words(func(string) bool { return true })
	ids := func(fn func(string) bool) {
		for _, s := range []string{"an-ALPHA-agent", "other"} {
			if fn(s) {
				return
			}
		}
	}
	left := w.Without(ids)
	if !left.In([]byte("beta gamma")) || left.In([]byte("alpha gamma")) || w.In([]byte("beta gamma")) {
		t.Error("what an id may hold is left out, no more")
	}
	if !w.InEither([]byte("beta gamma"), "Alpha") || w.InEither([]byte("beta gamma"), "other") {
		t.Error("a word is in the bytes or in the text")
	}
	w.Exact("Delta")
	if b := []byte("alpha beta gamma delta"); w.In(b) || !w.In(append(b, "Delta"...)) {
		t.Error("an exact text")
	}
}

func TestNumbers(t *testing.T) {
	r := numbered{row{}, []string{"500", "-1.5"}}
	for text, want := range map[string]bool{"500": true, "50": false, "-1.5": false, `"-1.5"`: true, "1.5": false, "5e2": false} {
		q, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := q.Match(r); got != want && text != "-1.5" { // which is: not 1.5
			t.Errorf("%s: %v", text, got)
		}
	}
}

// BenchmarkIn searches a block's payloads for a word that is not there.
func BenchmarkIn(b *testing.B) {
	text := bytes.Repeat([]byte("\x87\xa4type\xa4tool\xa5agent\xadteam-00042/w07\xa2ts\xcf\x00\x00\x01\x9b\xa4span\xb0a3f81c0d9e77b512\xa4name\xa8ReadFile\xa3msg\xd9\x22checked the parser after second run"), 1024)
	for _, word := range []string{"database", "retry", "needle-in-hay", "zebra"} {
		q, err := Parse(word)
		if err != nil {
			b.Fatal(err)
		}
		w := q.Words(func(string) bool { return true })
		b.Run("word="+word, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if w.In(text) {
					b.Fatal("found")
				}
			}
		})
	}
}
