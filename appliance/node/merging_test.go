package node

import (
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/sys/unix"
)

// A merge comes last in line, but for one that begins once level 0 is deep.
func TestMergesOfADeepLevel(t *testing.T) {
	var m merging
	o := &pebble.Options{}
	m.listen(o)
	nice := func(begin func()) (now, was int) {
		done := make(chan struct{})
		go func() { // its thread ends with it
			defer close(done)
			p, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
			if err != nil {
				t.Error(err)
			}
			begin()
			q, err := unix.Getpriority(unix.PRIO_PROCESS, unix.Gettid())
			if err != nil {
				t.Error(err)
			}
			now, was = 20-q, 20-p
		}()
		<-done
		return now, was
	}
	merge := func() { o.EventListener.CompactionBegin(pebble.CompactionInfo{}) }
	for _, c := range []struct {
		what        string
		depth, want int
		begin       func()
	}{
		{"a merge at the start", 0, upkeepNice, merge},
		{"one of as deep a level as there may be", mergeDepth, upkeepNice, merge},
		{"one of a deeper", mergeDepth + 1, backgroundNice, merge},
		{"one when that is over", mergeDepth - 1, upkeepNice, merge},
		{"a flush", 0, backgroundNice, func() { o.EventListener.FlushBegin(pebble.FlushInfo{}) }},
	} {
		m.look(c.depth)
		if got, was := nice(c.begin); got != max(was, c.want) {
			t.Errorf("%s: nice %d, want %d", c.what, got, c.want)
		}
	}
}
