package bench

import (
	"io"

	"eyrie/bench/load"
)

// ServeClient is the life of a load client process: see load.Serve.
func ServeClient(in io.Reader, out io.Writer) error { return load.Serve(in, out) }
