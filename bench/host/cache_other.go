//go:build !linux

package host

import "errors"

// DropCache is for Linux alone.
func DropCache(string) (float64, error) {
	return 0, errors.New("the page cache can be dropped on Linux only")
}
