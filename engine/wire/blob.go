package wire

import "encoding/hex"

// blobName makes a map the name of a blob.
const blobName = "$blob"

// Blob names a value that is too large for an event, or better kept apart, by its content. On the wire it is a map
// {"$blob": SHA-256 in 64 lower-case hexadecimal digits, "size": bytes, "type": media type} in place of a value, at
// any depth within input, output, attrs, capabilities or a field that the protocol does not know. Any other map is
// what it is, whatever its names.
type Blob struct {
	SHA256 [32]byte
	Size   int64  // of the content; -1 where it is not given
	Type   string // "" where it is not given
	Field  string // of the event in which it is named
}

// Value returns what stands in an event for the blob.
func (b *Blob) Value() map[string]any {
	return map[string]any{blobName: hex.EncodeToString(b.SHA256[:]), "size": b.Size, "type": b.Type}
}

// Blobs appends the blobs that a checked payload names, in order, each as often as it is named. Events without
// Head.Blob name none.
func Blobs(dst []Blob, payload []byte) []Blob {
	k, n, i := token(payload, 0)
	if k != kMap {
		return dst
	}
	for ; n > 0; n-- {
		k, kn, next := token(payload, i)
		if k != kStr {
			return dst
		}
		i = next + kn
		name := payload[next:i]
		f := FieldOf(name)
		end, ok := skipAny(payload, i)
		if !ok {
			return dst
		}
		if r := fieldRules[f]; f == FUnknown || r == rAny || r == rMap {
			from := len(dst)
			dst = blobsIn(dst, payload[i:end])
			for j := range dst[from:] {
				dst[from+j].Field = string(name)
			}
		}
		i = end
	}
	return dst
}

// blobsIn appends the blobs in one value. Containers need no stack: each map is looked at where it begins.
func blobsIn(dst []Blob, b []byte) []Blob {
	for i := 0; i < len(b); {
		k, n, next := token(b, i)
		switch k {
		case kBad:
			return dst
		case kStr, kBin, kExt:
			i = next + n
			continue
		case kMap:
			if v, ok := blobAt(b, next, n); ok {
				dst = append(dst, v)
			}
		}
		i = next
	}
	return dst
}

// blobAt reads the map of n pairs that begin at b[i] as a Blob.
func blobAt(b []byte, i, n int) (v Blob, ok bool) {
	v.Size = -1
	for ; n > 0; n-- {
		k, kn, next := token(b, i)
		if k != kStr {
			return v, false
		}
		i = next + kn
		name := string(b[next:i])
		k, vn, from := token(b, i)
		switch {
		case name == blobName:
			if k != kStr || !parseSHA256(&v.SHA256, b[from:from+vn]) {
				return v, false
			}
			ok = true
		case name == "size" && k == kInt:
			if size, big, _ := readInt(b, i); !big && size >= 0 {
				v.Size = size
			}
		case name == "type" && k == kStr:
			v.Type = string(b[from : from+vn])
		}
		var whole bool
		if i, whole = skipAny(b, i); !whole {
			return v, false
		}
	}
	return v, ok
}

// ParseSHA256 reads 64 lower-case hexadecimal digits.
func ParseSHA256(s string) (sum [32]byte, ok bool) {
	ok = parseSHA256(&sum, []byte(s))
	return sum, ok
}

func parseSHA256(sum *[32]byte, s []byte) bool {
	if len(s) != 2*len(sum) {
		return false
	}
	for _, c := range s {
		if c-'0' > 9 && c-'a' > 5 {
			return false
		}
	}
	_, err := hex.Decode(sum[:], s)
	return err == nil
}
