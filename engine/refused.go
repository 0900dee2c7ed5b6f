//go:build linux

package engine

// Refusal reads the payload of an ItemRefused: the machine code, the path of
// the field (relative to its event), and a sentence.
func (it *Item) Refusal() (code, field, msg string, err error) {
	p := it.Payload
	var ok [3]bool
	code, p, ok[0] = cutString(p)
	field, p, ok[1] = cutString(p)
	msg, _, ok[2] = cutString(p)
	if !ok[0] || !ok[1] || !ok[2] {
		return "", "", "", ErrItem
	}
	return code, field, msg, nil
}

// AppendRefusal appends the payload of an ItemRefused.
func AppendRefusal(dst []byte, code, field, msg string) []byte {
	dst = appendString(dst, code)
	dst = appendString(dst, field)
	return appendString(dst, msg)
}

// Result reads the payload of an ItemResult: the command's id, whether it
// worked, and its data as a MessagePack value (empty = none; aliases the item).
func (it *Item) Result() (id string, ok bool, data []byte, err error) {
	p := it.Payload
	if len(p) < 1 {
		return "", false, nil, ErrItem
	}
	ok = p[0] == 1
	id, data, valid := cutString(p[1:])
	if !valid {
		return "", false, nil, ErrItem
	}
	return id, ok, data, nil
}

// AppendResult appends the payload of an ItemResult.
func AppendResult(dst []byte, id string, ok bool, data []byte) []byte {
	b := byte(0)
	if ok {
		b = 1
	}
	dst = append(dst, b)
	dst = appendString(dst, id)
	return append(dst, data...)
}
