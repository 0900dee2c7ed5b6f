package wal

import "iter"

// turns bounds how many goroutines load and decode for readers at once, over all
// of a log's look-ups together: the runtime has few places more to run than there
// are processors, and what brings events to their acknowledgement needs some.
type turns chan struct{}

func newTurns(processors int) turns { return make(turns, max(1, processors)) }

// do calls fn in a turn; without turns, at once.
func (t turns) do(fn func()) {
	if t != nil {
		t <- struct{}{}
		defer func() { <-t }()
	}
	fn()
}

// ahead calls load for each item and use with what it gave, in the order of the
// items, until use returns false. The caller's goroutine loads the first item. If
// that was not enough, those behind it are loaded on goroutines of their own: twice
// as many with each step, up to two for each turn; load is called in a turn. When
// it returns, none of them runs any more.
func ahead[T, R any](t turns, items iter.Seq[T], load func(T) R, use func(R) bool) {
	next, stop := iter.Pull(items)
	defer stop()
	var under []chan R // oldest first
	defer func() {
		for _, c := range under {
			<-c
		}
	}()
	for most, more := 1, true; ; {
		for len(under) < most && more {
			var x T
			if x, more = next(); more {
				c := make(chan R, 1)
				take := func() { t.do(func() { c <- load(x) }) }
				if most == 1 {
					take()
				} else {
					go take()
				}
				under = append(under, c)
			}
		}
		if len(under) == 0 {
			return
		}
		r := <-under[0]
		if under = under[1:]; !use(r) {
			return
		}
		most = min(2*most, 2*max(1, cap(t)))
	}
}

// pointers yields the address of each element.
func pointers[T any](list []T) iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for i := range list {
			if !yield(&list[i]) {
				return
			}
		}
	}
}
