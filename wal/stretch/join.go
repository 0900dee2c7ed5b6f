package stretch

// joiner puts payloads together again that a splitter has divided.
type joiner struct {
	wordEnd   []int
	text      []byte     // the templates' words, those between two values as one
	pieces    []piece    // of all templates
	templates []template // number 0 stands for whole payloads
	fields    [fieldsMax][]byte
	fieldN    int
}

// piece is text, then a value of a field; without one if field is -1.
type piece struct {
	from, to int
	field    int
}

type template struct {
	from, to int // pieces
	words    int // bytes
}

// open reads the columns of templates and values, which are borrowed until done.
func (j *joiner) open(templates, values []byte, alone [][]byte) bool {
	r := reader{p: templates}
	n := r.uvarint()
	if n > uint64(len(r.p)) || n > wordsMax {
		return false
	}
	j.wordEnd = j.wordEnd[:0]
	end := uint64(0)
	for range n {
		size := r.uvarint()
		if size > uint64(len(templates)) {
			return false
		}
		end += size
		j.wordEnd = append(j.wordEnd, int(end))
	}
	words := r.bytes(end)
	n = r.uvarint()
	if r.bad || n >= templatesMax {
		return false
	}
	j.text, j.pieces, j.templates = j.text[:0], j.pieces[:0], append(j.templates[:0], template{})
	highest := -1 // field named
	for range n {
		if !j.template(&r, words, &highest) {
			return false
		}
	}
	n = r.uvarint()
	if n > fieldsMax || highest >= int(n) {
		return false
	}
	j.fieldN = int(n)
	v := reader{p: values}
	for i := range j.fields[:n] {
		switch n := r.uvarint(); {
		case n > 0:
			j.fields[i] = v.bytes(n - 1)
		case len(alone) > 0:
			j.fields[i], alone = alone[0], alone[1:]
		default:
			return false
		}
	}
	return !r.bad && len(r.p) == 0 && !v.bad && len(v.p) == 0 && len(alone) == 0
}

// template reads the tokens of one.
func (j *joiner) template(r *reader, words []byte, highest *int) bool {
	n := r.uvarint()
	if n > tokensMax || n > uint64(len(r.p)) {
		return false
	}
	t := template{from: len(j.pieces)}
	at := len(j.text)
	begin := at
	for range n {
		tok := r.uvarint()
		v := int(tok >> 1)
		switch {
		case tok > 2*wordsMax:
			return false
		case tok&1 == 1:
			if v >= fieldsMax {
				return false
			}
			*highest = max(*highest, v)
			j.pieces = append(j.pieces, piece{from: at, to: len(j.text), field: v})
			at = len(j.text)
		case v >= len(j.wordEnd):
			return false
		default:
			from := 0
			if v > 0 {
				from = j.wordEnd[v-1]
			}
			if j.text = append(j.text, words[from:j.wordEnd[v]]...); len(j.text) > textMax {
				return false
			}
		}
	}
	if at < len(j.text) {
		j.pieces = append(j.pieces, piece{from: at, to: len(j.text), field: -1})
	}
	t.to, t.words = len(j.pieces), len(j.text)-begin
	j.templates = append(j.templates, t)
	return true
}

// append appends the next payload of template t.
func (j *joiner) append(dst []byte, t int) ([]byte, bool) {
	ps := j.pieces[j.templates[t].from:j.templates[t].to]
	for i := range ps {
		p := &ps[i]
		dst = appendShort(dst, j.text[p.from:], p.to-p.from)
		if p.field < 0 {
			continue
		}
		f := &j.fields[p.field]
		n := 0
		if v := *f; len(v) > 0 && v[0]&0xe0 == 0xa0 && int(v[0]&0x1f) < len(v) {
			n = 1 + int(v[0]&0x1f) // what most values are
		} else if n = span(v, nestingMax); n == 0 {
			return dst, false
		}
		dst = appendShort(dst, *f, n)
		*f = (*f)[n:]
	}
	return dst, true
}

// appendShort appends src[:n]: in two steps of 16 bytes if there is room for
// them behind both, for most are so short that a call would cost more.
func appendShort(dst, src []byte, n int) []byte {
	at := len(dst)
	if n > 32 || cap(dst)-at < 32 || len(src) < 32 {
		return append(dst, src[:n]...)
	}
	d := dst[at : at+32]
	*(*[16]byte)(d) = [16]byte(src)
	if n > 16 {
		*(*[16]byte)(d[16:]) = [16]byte(src[16:])
	}
	return dst[:at+n]
}

// done tells whether all values were used, and lets go of them.
func (j *joiner) done() bool {
	left := 0
	for i := range j.fields[:j.fieldN] {
		left += len(j.fields[i])
		j.fields[i] = nil
	}
	return left == 0
}
