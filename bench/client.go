package bench

import (
	"io"

	"eyrie/bench/hostile"
	"eyrie/bench/load"
)

// ServeClient is the life of a load client process: see load.Serve.
func ServeClient(in io.Reader, out io.Writer) error { return load.Serve(in, out) }

// ServeHostile is the life of a process of bad peers: see hostile.Serve.
func ServeHostile(in io.Reader, out io.Writer) error { return hostile.Serve(in, out) }
