package wal

import (
	"iter"
	"runtime"
)

// ahead calls load for each item and use with what it gave, in the order of the
// items, until use returns false. The caller's goroutine loads the first item. If
// that was not enough, those behind it are loaded on goroutines of their own: twice
// as many with each step, up to two for each processor. When it returns, none of
// them runs any more.
func ahead[T, R any](items iter.Seq[T], load func(T) R, use func(R) bool) {
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
				if most == 1 {
					c <- load(x)
				} else {
					go func() { c <- load(x) }()
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
		most = min(2*most, 2*runtime.GOMAXPROCS(0))
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
