//go:build linux

package engine

import "unicode/utf8"

// validPrefix checks b as UTF-8 and returns how many of its bytes are whole,
// valid runes. Unless final, an unfinished rune at the end is fine: the rest
// may follow in the next fragment.
func validPrefix(b []byte, final bool) (n int, ok bool) {
	n = len(b)
	if !final {
		// Step back over at most three bytes to the start of the last rune.
		for i := 1; i <= 3 && i <= len(b); i++ {
			c := b[len(b)-i]
			if c < utf8.RuneSelf {
				break
			}
			if utf8.RuneStart(c) {
				if !utf8.FullRune(b[len(b)-i:]) {
					n = len(b) - i
				}
				break
			}
		}
	}
	return n, utf8.Valid(b[:n])
}
