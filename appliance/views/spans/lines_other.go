//go:build !linux

package spans

// newLines returns n lines of zeros.
func newLines(n int) ([]line, *lease) { return make([]line, n), nil }
