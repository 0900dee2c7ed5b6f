// Command jetstream is NATS JetStream for a comparison: its server in a process
// of its own, and a publisher over its own client. It is a module of its own so
// that eyrie's stays free of these dependencies; `eyrie bench ingest --matrix`
// builds it.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves until standard input ends, or publishes and prints what was seen.
func run(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "serve":
		return serve(args[1], args[2] == "always")
	case len(args) == 2 && args[0] == "publish":
		var job job
		if err := json.Unmarshal([]byte(args[1]), &job); err != nil {
			return err
		}
		r, err := publish(job)
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	return fmt.Errorf("usage: jetstream serve DIR always|default, or jetstream publish JOB")
}
