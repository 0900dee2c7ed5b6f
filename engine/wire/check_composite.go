package wire

import "unicode/utf8"

// checkComposite judges the fields that are neither plain strings nor on most events.
func checkComposite(b []byte, i int, r rule) (int, *fault) {
	k, n, next := token(b, i)
	if k == kBad {
		return i, &fault{code: CodeSyntax, at: i, want: "truncated MessagePack"}
	}
	switch r {
	case rSpanMs:
		f, ok := readFloat(b, i)
		if !ok {
			return i, wrong(k, i, "wants milliseconds as a number")
		}
		if !(f >= 0 && f <= maxUnixMs) {
			return i, &fault{code: CodeRange, at: i, want: "a duration is at least 0 and at most 130 years"}
		}
		return next, nil
	case rCount:
		return checkCount(b, i)
	case rBool:
		if k != kBool {
			return i, wrong(k, i, "wants a boolean")
		}
		return next, nil
	case rTo:
		if k == kArray {
			for i = next; n > 0; n-- {
				var ft *fault
				if i, ft = checkID(b, i); ft.bad() {
					return i, ft
				}
			}
			return i, nil
		}
		if k != kStr {
			return i, wrong(k, i, "wants an id or an array of ids")
		}
		return checkID(b, i)
	case rError:
		if k == kStr { // short for {msg}
			return checkText(b, i)
		}
		return checkMap(b, i, "wants a map {code, msg, retryable, cause} or a text", errorRule)
	case rUsage:
		return checkMap(b, i, "wants a map of token counts", usageRule)
	case rLinks:
		if k != kArray {
			return i, wrong(k, i, "wants an array of {span, kind}")
		}
		for i = next; n > 0; n-- {
			var ft *fault
			if i, ft = checkMap(b, i, "wants a map {span, kind}", linkRule); ft.bad() {
				return i, ft
			}
		}
		return i, nil
	case rUnit:
		if k == kStr {
			return checkText(b, i)
		}
		return checkMap(b, i, "wants a text or a map of texts", textRule)
	case rLabels:
		return checkLabels(b, i)
	case rState:
		if k == kMap {
			return checkMap(b, i, "", stateRule)
		}
		return checkEnum(b, i, r)
	}
	return skipChecked(b, i, 1)
}

// inner is what a name inside a composite field asks of its value, and a bit to notice it twice; 0 is any value.
type inner uint8

const (
	inAny inner = iota
	inText
	inID
	inCount
	inBool
	inState
	inOn
	inQuality
)

// innerRule returns what the name asks and its bit, 0 for a name of no meaning.
type innerRule func(name []byte) (inner, uint16)

func usageRule(name []byte) (inner, uint16) {
	switch string(name) {
	case "model":
		return inText, 1 << 0
	case "input_tokens":
		return inCount, 1 << 1
	case "output_tokens":
		return inCount, 1 << 2
	case "cache_read_tokens":
		return inCount, 1 << 3
	case "cache_write_tokens":
		return inCount, 1 << 4
	case "reasoning_tokens":
		return inCount, 1 << 5
	case "cost_nanousd":
		return inCount, 1 << 6
	case "cost_claimed_nanousd":
		return inCount, 1 << 7
	case "quality":
		return inQuality, 1 << 8
	}
	return inAny, 0
}

func errorRule(name []byte) (inner, uint16) {
	switch string(name) {
	case "code":
		return inText, 1 << 0
	case "msg":
		return inText, 1 << 1
	case "retryable":
		return inBool, 1 << 2
	case "cause":
		return inAny, 1 << 3
	}
	return inAny, 0
}

func linkRule(name []byte) (inner, uint16) {
	switch string(name) {
	case "span":
		return inID, 1 << 0
	case "kind":
		return inText, 1 << 1
	}
	return inAny, 0
}

func stateRule(name []byte) (inner, uint16) {
	switch string(name) {
	case "state":
		return inState, 1 << 0
	case "on":
		return inOn, 1 << 1
	case "by":
		return inText, 1 << 2
	}
	return inAny, 0
}

func textRule([]byte) (inner, uint16) { return inText, 0 }

// checkMap judges a map whose known names have rules; nil counts as absent, other names are kept.
func checkMap(b []byte, i int, want string, rule innerRule) (int, *fault) {
	k, n, next := token(b, i)
	if k != kMap {
		return i, wrong(k, i, want)
	}
	var seen uint16
	for i = next; n > 0; n-- {
		keyAt := i
		k, kn, next := token(b, i)
		if k != kStr {
			return i, badKey(k, i)
		}
		i = next + kn
		name := b[next:i]
		in, bit := rule(name)
		if seen&bit != 0 {
			return i, &fault{code: CodeDuplicate, at: i, want: "given twice"}
		}
		seen |= bit
		if bit == 0 && !utf8.Valid(name) {
			return i, &fault{code: CodeUTF8, at: keyAt, want: "a name that is not UTF-8"}
		}
		if i < len(b) && b[i] == 0xc0 {
			i++
			continue
		}
		var ft *fault
		if i, ft = checkInner(b, i, in); ft.bad() {
			return i, ft
		}
	}
	return i, nil
}

func checkInner(b []byte, i int, in inner) (int, *fault) {
	switch in {
	case inText:
		return checkText(b, i)
	case inID:
		return checkID(b, i)
	case inCount:
		return checkCount(b, i)
	case inBool:
		if k, _, next := token(b, i); k == kBool {
			return next, nil
		} else {
			return i, wrong(k, i, "wants a boolean")
		}
	case inState:
		return checkEnum(b, i, rState)
	case inOn:
		return checkEnum(b, i, rOn)
	case inQuality:
		return checkEnum(b, i, rUsage)
	}
	return skipChecked(b, i, 2)
}

func checkEnum(b []byte, i int, r rule) (int, *fault) {
	s, next, ok := readStr(b, i)
	if !ok {
		k, _, _ := token(b, i)
		return i, wrong(k, i, "wants a string")
	}
	switch r {
	case rState:
		_, ok = indexOf(stateNames[:], s)
	case rOn:
		_, ok = indexOf(onNames[:], s)
	case rUsage:
		_, ok = ParseQuality(s)
	}
	if !ok {
		return i, notOneOf(i, r)
	}
	return next, nil
}

func checkText(b []byte, i int) (int, *fault) {
	s, next, ok := readStr(b, i)
	if !ok {
		k, _, _ := token(b, i)
		return i, wrong(k, i, "wants a string")
	}
	if !utf8.Valid(s) {
		return i, notUTF8(i)
	}
	return next, nil
}

func checkID(b []byte, i int) (int, *fault) {
	next, ft := checkText(b, i)
	if !ft.bad() {
		if _, n, _ := token(b, i); n > MaxID {
			return i, &fault{code: CodeSize, at: i, want: "an id has at most 128 bytes"}
		}
	}
	return next, ft
}

// checkCount judges a whole number from 0 to the largest int64.
func checkCount(b []byte, i int) (int, *fault) {
	k, _, next := token(b, i)
	v, big, ok := readInt(b, i)
	switch {
	case k != kInt && k != kFloat:
		return i, wrong(k, i, "wants a whole number")
	case !ok:
		return i, &fault{code: CodeType, at: i, want: "wants a whole number"}
	case big || v < 0:
		return i, &fault{code: CodeRange, at: i, want: "wants a number from 0 to 9223372036854775807"}
	}
	return next, nil
}

func checkLabels(b []byte, i int) (int, *fault) {
	at := i
	k, n, i := token(b, i)
	if k != kMap {
		return i, wrong(k, at, "wants a map of texts")
	}
	if n > MaxLabels {
		return at, &fault{code: CodeSize, at: at, want: "an event has at most 64 labels"}
	}
	var names [MaxLabels][2]uint32
	for j := range n {
		keyAt := i
		k, kn, next := token(b, i)
		if k != kStr {
			return i, badKey(k, i)
		}
		i = next + kn
		ft := checkName(b, keyAt, next, i, names[:j])
		if !ft.bad() {
			names[j] = [2]uint32{uint32(next), uint32(i)}
			i, ft = checkText(b, i)
		}
		if ft.bad() {
			return i, ft
		}
	}
	return i, nil
}

// skipChecked is checkAny where no blob is named.
func skipChecked(b []byte, i, depth int) (int, *fault) {
	var blob bool
	return checkAny(b, i, depth, &blob)
}
