package query

// Kind says what a Value holds.
type Kind uint8

// The kinds of values; None is a field that the row does not have.
const (
	None Kind = iota
	Text
	Number
	Bool
)

// Value is what a row answers for a field. The text may alias the row's memory:
// it is read during Match only.
type Value struct {
	Kind Kind
	Str  string
	Num  float64
}

// T is a text value; an empty text is no value.
func T(s string) Value {
	if s == "" {
		return Value{}
	}
	return Value{Kind: Text, Str: s}
}

// N is a number. Times are Unix milliseconds, durations milliseconds.
func N(x float64) Value { return Value{Kind: Number, Num: x} }

// B is a boolean; it matches true/false, yes/no and 1/0.
func B(b bool) Value {
	if b {
		return Value{Kind: Bool, Num: 1}
	}
	return Value{Kind: Bool}
}

// Row is anything a query is matched against.
type Row interface {
	// Field answers one field; names are lower case, with dots for labels
	// ("labels.repo"). Unknown names answer the zero Value.
	Field(name string) Value
	// Texts shows each text that free words are sought in, until fn returns
	// true, and reports whether it did.
	Texts(fn func(s string) bool) bool
}

// Numbered is what a Row may be too: one with numbers that free words are sought
// in. Numbers shows each as JSON writes it, until fn returns true.
type Numbered interface {
	Numbers(fn func(s string) bool) bool
}

// Several is what a Row may be too: one with fields of several values. Each shows
// them until fn returns true, and reports whether it did.
type Several interface {
	Each(field string, fn func(v Value) bool) bool
}
