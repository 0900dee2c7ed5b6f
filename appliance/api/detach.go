package api

import (
	"context"
	"time"
)

// detach returns a context that ends with parent, after d unless that is 0, or
// when release is called, which every caller does. It asks parent only until
// then and only now: a context derived from a request would ask it from a
// goroutine of its own, perhaps when the request's memory is another's.
func detach(parent context.Context, d time.Duration) (ctx context.Context, release func()) {
	var cancel context.CancelFunc
	if d > 0 {
		ctx, cancel = context.WithTimeout(context.Background(), d)
	} else {
		ctx, cancel = context.WithCancel(context.Background())
	}
	over, ended := parent.Done(), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-over:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel()
		<-ended
	}
}
