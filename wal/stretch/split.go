package stretch

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// Bounds of the templates of a chunk. A payload that goes beyond is kept whole.
const (
	templatesMax = 256 // number 0 stands for whole payloads
	wordsMax     = 1 << 12
	fieldsMax    = 256
	tokensMax    = 256 // of a template
	nestingMax   = 4   // of maps that are divided
	wordBytesMax = 16  // of a value that may be a word
	candidates   = 4   // templates of a shape that are tried

	textMax = 1 << 20 // bytes of words of all templates, as often as they occur
)

// splitter divides payloads that are MessagePack maps into a template, the
// names and the values that are the same in all records of a shape, and other
// values, which it gathers by name: so the same name costs nothing, and values
// of a kind lie side by side.
type splitter struct {
	words   []byte // end to end
	wordEnd []int
	fieldOf []int16 // of each word, the field that it names, or -1
	fields  [fieldsMax][]byte
	fieldN  int
	tokens  []uint16 // of all templates: word << 1, field << 1 | 1
	ends    []int    // of each template's tokens
	text    []byte   // of all templates, see piece
	pieces  []piece
	pieceAt []int // of each template, where its pieces end
	shapes  []shapeState

	wordSlots     [2 * wordsMax]wordSlot
	templateSlots [4 * templatesMax]wordSlot
	turn          uint32

	// of the payload being divided
	state *shapeState
	cur   []uint16
	holes []hole
	hash  uint64
}

// shapeState is what was learnt of payloads of records of a kind, class and flags.
type shapeState struct {
	try    [candidates]int // templates, 0 for none, the newest first
	values []constant
}

// constant says that a field has had one value so far, a word; -1 if it had others.
type constant struct{ field, word int }

type wordSlot struct {
	turn uint32
	hash uint32
	at   int32
}

type hole struct {
	field int
	value []byte
}

func (s *splitter) reset() {
	s.words, s.wordEnd, s.fieldOf = s.words[:0], s.wordEnd[:0], s.fieldOf[:0]
	for i := range s.fields[:s.fieldN] {
		s.fields[i] = s.fields[i][:0]
	}
	s.fieldN, s.shapes = 0, s.shapes[:0]
	s.tokens, s.text, s.pieces = s.tokens[:0], s.text[:0], s.pieces[:0]
	s.ends, s.pieceAt = append(s.ends[:0], 0), append(s.pieceAt[:0], 0)
	if s.turn++; s.turn == 0 {
		clear(s.wordSlots[:])
		clear(s.templateSlots[:])
		s.turn = 1
	}
}

// split notes p's values and returns its template, 0 if p is to be kept whole.
// shape is what p's record has been numbered by: 0, 1, and so on.
func (s *splitter) split(p []byte, shape int) int {
	for shape >= len(s.shapes) {
		if len(s.shapes) < cap(s.shapes) {
			s.shapes = s.shapes[:len(s.shapes)+1]
			st := &s.shapes[len(s.shapes)-1]
			*st = shapeState{values: st.values[:0]}
		} else {
			s.shapes = append(s.shapes, shapeState{})
		}
	}
	s.state = &s.shapes[shape]
	t, known := 0, false
	for _, t = range s.state.try {
		if t == 0 {
			break
		}
		if s.match(p, t) {
			known = true
			break
		}
	}
	if !known {
		t = s.learn(p)
	}
	if t > 0 {
		for i := range s.holes {
			h := &s.holes[i]
			s.fields[h.field] = append(s.fields[h.field], h.value...)
		}
	}
	return t
}

// match divides p by template t.
func (s *splitter) match(p []byte, t int) bool {
	s.holes = s.holes[:0]
	for i := s.pieceAt[t-1]; i < s.pieceAt[t]; i++ {
		c := &s.pieces[i]
		text := s.text[c.from:c.to]
		if len(p) < len(text) || string(p[:len(text)]) != string(text) {
			return false
		}
		p = p[len(text):]
		if c.field < 0 {
			continue
		}
		n := span(p, nestingMax)
		if n == 0 {
			return false
		}
		s.holes = append(s.holes, hole{field: c.field, value: p[:n]})
		p = p[n:]
	}
	return len(p) == 0
}

// learn divides p name by name and returns its template, new or not.
func (s *splitter) learn(p []byte) int {
	s.cur, s.holes, s.hash = s.cur[:0], s.holes[:0], 0
	if n := s.fixmap(p, nestingMax); n == 0 || n != len(p) || len(s.cur) > tokensMax {
		return 0
	}
	t := s.template()
	if try := &s.state.try; t > 0 && try[0] != t {
		copy(try[1:], try[:])
		try[0] = t
	}
	return t
}

func (s *splitter) token(t uint16) {
	s.cur = append(s.cur, t)
	s.hash = (bits.RotateLeft64(s.hash, 5) ^ uint64(t)) * 0x9e3779b97f4a7c15
}

// fixmap divides the map that p begins with. It returns the map's length, 0 if
// it is none that can be divided.
func (s *splitter) fixmap(p []byte, depth int) int {
	if len(p) == 0 || p[0]&0xf0 != 0x80 {
		return 0
	}
	w := s.word(p[:1])
	if w < 0 {
		return 0
	}
	s.token(uint16(w) << 1)
	at := 1
	for range p[0] & 0x0f {
		if at >= len(p) || p[at]&0xe0 != 0xa0 {
			return 0
		}
		end := at + 1 + int(p[at]&0x1f)
		if end >= len(p) {
			return 0
		}
		w := s.word(p[at:end])
		if w < 0 {
			return 0
		}
		s.token(uint16(w) << 1)
		n := s.value(w, p[end:], depth)
		if n == 0 {
			return 0
		}
		at = end + n
	}
	return at
}

// value divides the value, or notes it, that follows the name word and returns its length.
func (s *splitter) value(name int, p []byte, depth int) int {
	if p[0]&0xf0 == 0x80 && depth > 1 {
		return s.fixmap(p, depth-1)
	}
	n := span(p, nestingMax)
	if n == 0 {
		return 0
	}
	f := int(s.fieldOf[name])
	if f < 0 {
		if s.fieldN == fieldsMax {
			return 0
		}
		f = s.fieldN
		s.fieldN++
		s.fieldOf[name] = int16(f)
	}
	if n <= wordBytesMax && p[0]&0xe0 == 0xa0 {
		if w := s.constant(f, p[:n]); w >= 0 {
			s.token(uint16(w) << 1)
			return n
		}
	}
	s.token(uint16(f)<<1 | 1)
	s.holes = append(s.holes, hole{field: f, value: p[:n]})
	return n
}

// constant returns the word of a value that its field always had in records of
// the shape, else -1. Templates with what turns out to vary are tried no more.
func (s *splitter) constant(field int, p []byte) int {
	vs := s.state.values
	for i := range vs {
		if vs[i].field != field {
			continue
		}
		if w := vs[i].word; w < 0 || bytes.Equal(s.textOf(w), p) {
			return w
		}
		vs[i].word = -1
		clear(s.state.try[:])
		return -1
	}
	w := s.word(p)
	s.state.values = append(vs, constant{field: field, word: w})
	return w
}

func wordHash(p []byte) uint32 {
	a, b := uint64(0), uint64(0)
	switch n := len(p); {
	case n >= 8:
		a, b = binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint64(p[n-8:])
	case n >= 4:
		a, b = uint64(binary.LittleEndian.Uint32(p)), uint64(binary.LittleEndian.Uint32(p[n-4:]))
	default:
		for _, c := range p {
			a = a<<8 | uint64(c)
		}
	}
	h := (a ^ uint64(len(p))<<56) * 0x9e3779b97f4a7c15
	h = (bits.RotateLeft64(h, 31) ^ b) * 0xbf58476d1ce4e5b9
	return uint32(h >> 32)
}

// find returns the number of a word, or the slot where it belongs.
func (s *splitter) find(p []byte) (at int, known bool) {
	h := wordHash(p)
	for i := h % uint32(len(s.wordSlots)); ; i = (i + 1) % uint32(len(s.wordSlots)) {
		w := &s.wordSlots[i]
		if w.turn != s.turn {
			return int(i), false
		}
		if w.hash == h && bytes.Equal(s.textOf(int(w.at)), p) {
			return int(w.at), true
		}
	}
}

func (s *splitter) textOf(w int) []byte {
	from := 0
	if w > 0 {
		from = s.wordEnd[w-1]
	}
	return s.words[from:s.wordEnd[w]]
}

// word numbers p; -1 if there are too many.
func (s *splitter) word(p []byte) int {
	at, known := s.find(p)
	if known {
		return at
	}
	if len(s.wordEnd) == wordsMax {
		return -1
	}
	s.wordSlots[at] = wordSlot{turn: s.turn, hash: wordHash(p), at: int32(len(s.wordEnd))}
	s.words = append(s.words, p...)
	s.wordEnd = append(s.wordEnd, len(s.words))
	s.fieldOf = append(s.fieldOf, -1)
	return len(s.wordEnd) - 1
}

// template numbers the tokens of the payload being divided; 0 if there are too many.
func (s *splitter) template() int {
	h := uint32(s.hash >> 32)
	for i := h % uint32(len(s.templateSlots)); ; i = (i + 1) % uint32(len(s.templateSlots)) {
		t := &s.templateSlots[i]
		if t.turn != s.turn {
			if len(s.ends) == templatesMax || len(s.text)+s.textLen() > textMax {
				return 0
			}
			*t = wordSlot{turn: s.turn, hash: h, at: int32(len(s.ends))}
			s.add()
			return int(t.at)
		}
		if t.hash == h && equal(s.tokens[s.ends[t.at-1]:s.ends[t.at]], s.cur) {
			return int(t.at)
		}
	}
}

// textLen is the bytes of words in the payload being divided.
func (s *splitter) textLen() (n int) {
	for _, t := range s.cur {
		if t&1 == 0 {
			n += len(s.textOf(int(t >> 1)))
		}
	}
	return n
}

// add keeps the tokens of the payload being divided as a template.
func (s *splitter) add() {
	s.tokens = append(s.tokens, s.cur...)
	s.ends = append(s.ends, len(s.tokens))
	at := len(s.text)
	for _, t := range s.cur {
		if t&1 == 0 {
			s.text = append(s.text, s.textOf(int(t>>1))...)
			continue
		}
		s.pieces = append(s.pieces, piece{from: at, to: len(s.text), field: int(t >> 1)})
		at = len(s.text)
	}
	if at < len(s.text) {
		s.pieces = append(s.pieces, piece{from: at, to: len(s.text), field: -1})
	}
	s.pieceAt = append(s.pieceAt, len(s.pieces))
}

func equal(a, b []uint16) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// aloneBytes of values and more of a field are compressed on their own: their
// bytes have a distribution of their own, which saves 3 of 19 bytes a record.
const aloneBytes = 1 << 10

// append appends the templates' column and the values' column, but for the
// fields that are to be compressed on their own, which it gives to alone.
func (s *splitter) append(templates, values []byte, alone [][]byte) ([]byte, []byte, [][]byte) {
	templates = binary.AppendUvarint(templates, uint64(len(s.wordEnd)))
	for i := range s.wordEnd {
		templates = binary.AppendUvarint(templates, uint64(len(s.textOf(i))))
	}
	templates = append(templates, s.words...)
	templates = binary.AppendUvarint(templates, uint64(len(s.ends)-1))
	for i, end := range s.ends[1:] {
		ts := s.tokens[s.ends[i]:end]
		templates = binary.AppendUvarint(templates, uint64(len(ts)))
		for _, t := range ts {
			templates = binary.AppendUvarint(templates, uint64(t))
		}
	}
	templates = binary.AppendUvarint(templates, uint64(s.fieldN))
	for _, f := range s.fields[:s.fieldN] {
		if len(f) >= aloneBytes {
			templates = append(templates, 0)
			alone = append(alone, f)
			continue
		}
		templates = binary.AppendUvarint(templates, uint64(len(f)+1))
		values = append(values, f...)
	}
	return templates, values, alone
}

// span returns the length of the MessagePack value that p begins with, 0 if it
// is cut off, nested too deeply or begins with a byte that is never used.
func span(p []byte, depth int) int {
	if len(p) == 0 {
		return 0
	}
	n, items := 1, 0
	switch c := p[0]; {
	case c < 0x80 || c >= 0xe0:
		return 1
	case c < 0x90:
		items = 2 * int(c&0x0f)
	case c < 0xa0:
		items = int(c & 0x0f)
	case c < 0xc0:
		n += int(c & 0x1f)
	default:
		n, items = longSpan(p)
	}
	if n == 0 || n > len(p) || items > 0 && depth == 0 || items > len(p) {
		return 0
	}
	for range items {
		k := span(p[n:], depth-1)
		if k == 0 {
			return 0
		}
		n += k
	}
	return n
}

// longSpan is the length of what begins with c0 to df, up to the items of a
// container, whose number follows; a length of 0 is no value.
func longSpan(p []byte) (n, items int) {
	const (
		skip  = 0x00 // plus bytes
		text  = 0x20 // plus bytes of length; 8: a type byte follows them
		array = 0x40
		pairs = 0x60
		never = 0xff
	)
	kinds := [32]byte{
		skip, never, skip, skip, text + 1, text + 2, text + 4, text + 1 + 8, text + 2 + 8, text + 4 + 8,
		skip + 4, skip + 8, skip + 1, skip + 2, skip + 4, skip + 8, skip + 1, skip + 2, skip + 4, skip + 8,
		skip + 2, skip + 3, skip + 5, skip + 9, skip + 17, text + 1, text + 2, text + 4, array + 2, array + 4, pairs + 2, pairs + 4,
	}
	k := kinds[p[0]-0xc0]
	switch {
	case k == never:
		return 0, 0
	case k < text:
		return 1 + int(k), 0
	}
	width := int(k & 7)
	if len(p) < 1+width {
		return 0, 0
	}
	v := 0
	for _, c := range p[1 : 1+width] {
		v = v<<8 | int(c)
	}
	switch k & 0x60 {
	case text:
		return 1 + width + v + int(k>>3&1), 0
	case array:
		return 1 + width, v
	}
	return 1 + width, 2 * v
}
