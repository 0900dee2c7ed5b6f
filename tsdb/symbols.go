package tsdb

import "strings"

// symbols gives each string a dense number, so that labels and postings hold
// no strings. It never forgets; the index bounds it by bounding the series.
type symbols struct {
	ids   map[string]uint32
	names []string
}

func newSymbols() symbols { return symbols{ids: map[string]uint32{}} }

// add returns the number of s, giving it one on first sight.
func (y *symbols) add(s string) uint32 {
	if id, ok := y.ids[s]; ok {
		return id
	}
	s = strings.Clone(s)
	id := uint32(len(y.names))
	y.ids[s] = id
	y.names = append(y.names, s)
	return id
}
