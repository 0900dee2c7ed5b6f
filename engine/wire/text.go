package wire

import (
	"encoding/binary"
	"unicode/utf8"
)

// highBits are those that no byte of ASCII has.
const highBits = 0x8080808080808080

// validText reports whether the n bytes at b[i], which lie in b, are UTF-8. Most are ASCII and short.
func validText(b []byte, i, n int) bool {
	if n > 32 || i+8 > len(b) {
		return utf8.Valid(b[i : i+n])
	}
	w := binary.LittleEndian.Uint64(b[i:])
	if n < 8 {
		w <<= 64 - 8*uint(n)
	} else {
		w |= binary.LittleEndian.Uint64(b[i+n-8:])
		if n > 16 {
			w |= binary.LittleEndian.Uint64(b[i+8:]) | binary.LittleEndian.Uint64(b[i+n-16:])
		}
	}
	return w&highBits == 0 || utf8.Valid(b[i:i+n])
}
