package tailfile

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
)

// Mark is how far one file was read, in a form that finds the file again.
type Mark struct {
	Print   uint64 // hash of the file's first line
	Path    uint32 // hash of its path: tells apart files that begin alike
	Offset  int64  // bytes read
	Tail    uint32 // hash of the bytes before Offset: tells that they are still the same
	Mtime   int64  // modification time in Unix seconds: the newest marks are kept when there are too many
	Settled int64  // the caller's own offset, at most Offset; see File.Settled
}

// Marks is a set of marks and the time before which files without a mark count as read to their end.
type Marks struct {
	List []Mark
	// SettledBefore is in Unix seconds; 0 = no mark was left out. A file last changed before it that has no
	// mark is taken as read; one that grew later is read from its start again.
	SettledBefore int64
	// UnreadFrom is the oldest modification time among files not read to their end: SettledBefore never
	// passes it, so that a mark left out may cost a second reading, never a loss. Not encoded.
	UnreadFrom int64
}

// Encoding: version 1, SettledBefore (varint), then per mark: print (8 bytes), path (4), tail (4),
// offset (uvarint), 0 or 1 + offset - settled (uvarint), mtime minus that of the mark before (varint). Newest first.
const marksVersion = 1

var errMarks = errors.New("tailfile: position is not readable")

// Append appends the encoded marks, at most bytesMax bytes. What does not fit, the oldest, is left out and
// raises SettledBefore.
func (m Marks) Append(dst []byte, bytesMax int) []byte {
	slices.SortFunc(m.List, func(a, b Mark) int {
		switch {
		case a.Mtime != b.Mtime:
			return cmp.Compare(b.Mtime, a.Mtime)
		case a.Print != b.Print:
			return cmp.Compare(a.Print, b.Print)
		}
		return cmp.Compare(a.Path, b.Path)
	})
	body := make([]byte, 0, 24*len(m.List))
	settled, last := m.SettledBefore, int64(0)
	for _, k := range m.List {
		mark := len(body)
		body = binary.LittleEndian.AppendUint64(body, k.Print)
		body = binary.LittleEndian.AppendUint32(body, k.Path)
		body = binary.LittleEndian.AppendUint32(body, k.Tail)
		body = binary.AppendUvarint(body, uint64(k.Offset))
		var back uint64
		if k.Settled > 0 {
			back = uint64(1 + k.Offset - k.Settled)
		}
		body = binary.AppendUvarint(body, back)
		body = binary.AppendVarint(body, k.Mtime-last)
		last = k.Mtime
		if len(body)+1+binary.MaxVarintLen64 > bytesMax {
			body = body[:mark]
			settled = max(settled, min(k.Mtime+1, m.UnreadFrom))
			break
		}
	}
	dst = append(dst, marksVersion)
	dst = binary.AppendVarint(dst, settled)
	return append(dst, body...)
}

// ParseMarks reads what Append wrote. Nothing is no marks.
func ParseMarks(b []byte) (Marks, error) {
	var m Marks
	if len(b) == 0 {
		return m, nil
	}
	if b[0] != marksVersion {
		return m, errMarks
	}
	b = b[1:]
	var ok bool
	if m.SettledBefore, b, ok = varint(b); !ok {
		return m, errMarks
	}
	for last := int64(0); len(b) > 0; {
		if len(b) < 16 {
			return m, errMarks
		}
		k := Mark{Print: binary.LittleEndian.Uint64(b), Path: binary.LittleEndian.Uint32(b[8:]), Tail: binary.LittleEndian.Uint32(b[12:])}
		off, n := binary.Uvarint(b[16:])
		if n <= 0 || off > 1<<62 {
			return m, errMarks
		}
		b = b[16+n:]
		back, n := binary.Uvarint(b)
		if n <= 0 || back > off {
			return m, errMarks
		}
		if k.Offset = int64(off); back > 0 {
			k.Settled = k.Offset + 1 - int64(back)
		}
		var d int64
		if d, b, ok = varint(b[n:]); !ok {
			return m, errMarks
		}
		last += d
		k.Mtime = last
		m.List = append(m.List, k)
	}
	return m, nil
}

func varint(b []byte) (int64, []byte, bool) {
	v, n := binary.Varint(b)
	if n <= 0 {
		return 0, b, false
	}
	return v, b[n:], true
}
