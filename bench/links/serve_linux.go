package links

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"runtime"

	"eyrie/bench/child"
)

// Actor is a Handler that is told orders O, by the loop's thread.
type Actor[O any] interface {
	Handler
	Take(O)
}

// Life is that of a child process which is one loop. It is told a job J, then orders O.
type Life[J, O any] struct {
	Name   string
	Begin  func(J) (*Loop, Actor[O], error)
	Failed func(err error) any // the answer that says why it ends
}

// Serve lives it: it reads from in until that ends, and answers on out.
func (f Life[J, O]) Serve(in io.Reader, out io.Writer) error {
	child.RaiseDescriptors()
	dec := json.NewDecoder(bufio.NewReader(in))
	var job J
	if err := dec.Decode(&job); err != nil {
		return fmt.Errorf("%s: job: %w", f.Name, err)
	}
	failed := func(err error) error {
		_, _ = out.Write(child.Line(f.Failed(err)))
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	l, actor, err := f.Begin(job)
	if err != nil {
		return failed(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			var o O
			if err := dec.Decode(&o); err != nil {
				l.end()
				return
			}
			l.Post(func() { actor.Take(o) })
		}
	}()
	runtime.LockOSThread()
	if err := l.run(actor); err != nil {
		return failed(err)
	}
	<-ended // it wakes the loop, which must be there
	l.Close()
	return nil
}
