package load

import (
	"errors"
	"io"

	"eyrie/bench/child"
	"eyrie/bench/links"
)

// Serve is a child's life: it reads its job and orders from in and answers on
// out, until in ends.
func Serve(in io.Reader, out io.Writer) error {
	var l *loop
	err := links.Life[Job, order]{
		Name:   "load client",
		Failed: func(err error) any { return answer{Says: saysFailed, Error: err.Error()} },
		Begin: func(job Job) (_ *links.Loop, _ links.Actor[order], err error) {
			if err := child.Pin(job.Core); err != nil {
				return nil, nil, err
			}
			if l, err = newLoop(job, out); err != nil {
				return nil, nil, err
			}
			return l.Loop, l, nil
		},
	}.Serve(in, out)
	if l != nil && l.ledger != nil {
		err = errors.Join(err, l.ledger.Close())
	}
	return err
}
