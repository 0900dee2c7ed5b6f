package wire

// elementEnd returns where the array element at src[i] ends: at the comma or bracket behind it, found by counting
// brackets only. -1 when neither comes. What lies between is judged when it is transcoded.
func elementEnd(src []byte, i int) int {
	depth := 0
	for i < len(src) {
		c := src[i]
		if !structural[c] {
			i++
			continue
		}
		switch c {
		case '"':
			if i = stringEnd(src, i); i < 0 {
				return -1
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return -1
}

// structural marks the bytes that elementEnd looks at.
var structural = [256]bool{'"': true, '{': true, '[': true, '}': true, ']': true, ',': true}

// arrayEnd returns the index of the bracket that closes the array whose first element would be at src[i], and the
// number of elements; -1 when there is none.
func arrayEnd(src []byte, i int) (end, n int) {
	if i = skipSpace(src, i); i < len(src) && src[i] == ']' {
		return i, 0
	}
	for {
		i = elementEnd(src, i)
		n++
		if i < 0 || src[i] == '}' {
			return -1, n
		}
		if src[i] == ']' {
			return i, n
		}
		i++
	}
}

// jsonFault spells out a fault at an offset of src; the walk for the path starts at src[start].
func jsonFault(prefix string, src []byte, start int, f *fault) *FieldError {
	p := path{b: []byte(prefix)}
	jsonPath(&p, src, start, f.at)
	return &FieldError{Code: f.code, Field: string(p.b), Msg: f.want}
}

// jsonPath appends the path of src[at]. What lies before is known to be well-formed.
func jsonPath(p *path, src []byte, start, at int) {
	type level struct {
		arr, value bool // value: behind the colon
		idx        int
		key        []byte
	}
	var stack []level
	for i := start; i < at && i < len(src); i++ {
		top := len(stack) - 1
		switch src[i] {
		case '{', '[':
			stack = append(stack, level{arr: src[i] == '['})
		case '}', ']':
			if top >= 0 {
				stack = stack[:top]
			}
		case ':':
			if top >= 0 {
				stack[top].value = true
			}
		case ',':
			if top >= 0 {
				stack[top].idx++
				stack[top].value = false
				stack[top].key = nil
			}
		case '"':
			end := stringEnd(src, i)
			if end < 0 {
				return
			}
			if top >= 0 && !stack[top].arr && !stack[top].value {
				stack[top].key = src[i+1 : end-1]
			}
			i = end - 1
		}
	}
	for _, l := range stack {
		if l.arr {
			p.index(l.idx)
		} else if l.key != nil {
			p.key(l.key)
		}
	}
}
