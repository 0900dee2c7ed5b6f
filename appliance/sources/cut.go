package sources

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Cut returns s when it has at most max bytes, else its beginning followed by a marker that says how many
// bytes are missing. The result is valid UTF-8 and exceeds max by at most the marker's length.
func Cut(s string, max int) string {
	if len(s) > max {
		n := max
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n] + fmt.Sprintf("…[%d bytes cut]", len(s)-n)
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// Title returns the first line of s that holds something, cut to max bytes: a name for a list.
func Title(s string, max int) string {
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			return Cut(line, max)
		}
	}
	return ""
}
