package viewer

import (
	"io"

	"eyrie/bench/child"
	"eyrie/bench/links"
)

// Serve is a child's life: it reads its job and orders from in and answers on
// out, until in ends.
func Serve(in io.Reader, out io.Writer) error {
	return links.Life[Job, order]{
		Name:   "viewers",
		Failed: func(err error) any { return answer{Error: err.Error()} },
		Begin: func(job Job) (*links.Loop, links.Actor[order], error) {
			if err := child.Pin(job.Core); err != nil {
				return nil, nil, err
			}
			l, err := newLoop(job, out)
			if err != nil {
				return nil, nil, err
			}
			return l.Loop, l, nil
		},
	}.Serve(in, out)
}
