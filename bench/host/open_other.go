//go:build !linux

package host

// open knows of no way to count.
func open(int) int { return 0 }
