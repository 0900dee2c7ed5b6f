package main

import (
	"math"
	"strings"
	"testing"

	"eyrie/bench/workload"

	"github.com/alecthomas/kong"
)

// Reports are passed on, and hold no key.
func TestTypedHasNoKey(t *testing.T) {
	for _, c := range [][2]string{
		{"bench soak --target http://h:1 --key secret --quick", "eyrie bench soak --target http://h:1 --key … --quick"},
		{"bench ingest --key=secret", "eyrie bench ingest --key=…"},
		{"bench --json", "eyrie bench --json"},
	} {
		if got := typed(strings.Split(c[0], " ")); got != c[1] {
			t.Errorf("%s: %s", c[0], got)
		}
	}
}

// A flag goes before the file, a default does not; and the rate that a file's speed
// makes is that of the agents that a flag asks for.
func TestWorkloadFlags(t *testing.T) {
	ask := func(args ...string) (*asked, benchSoakCmd) {
		t.Helper()
		var c struct {
			Soak benchSoakCmd `cmd:""`
		}
		p, err := kong.New(&c)
		if err != nil {
			t.Fatal(err)
		}
		k, err := p.Parse(append([]string{"soak"}, args...))
		if err != nil {
			t.Fatal(err)
		}
		a, err := c.Soak.load(k)
		if err != nil {
			t.Fatal(err)
		}
		take(a, "agents", &a.Shape.Agents, c.Soak.Agents)
		take(a, "connections", &a.Shape.Connections, c.Soak.Connections)
		take(a, "rate", &a.Workload.Rate, c.Soak.Rate)
		if err := a.pace(); err != nil {
			t.Fatal(err)
		}
		return a, c.Soak
	}
	if a, c := ask(); a.file || a.Shape.Agents != c.Agents {
		t.Errorf("without a workload: %+v", a.Shape)
	}
	if a, _ := ask("--workload", "flagship", "--rate", "7"); a.Shape.Agents != 65_000 || a.Workload.Rate != 7 {
		t.Errorf("%+v", a.Workload)
	}
	whole, err := workload.Load("recorded")
	if err != nil {
		t.Fatal(err)
	}
	a, _ := ask("--workload", "recorded", "--agents", "500", "--connections", "10")
	if a.Shape.Agents != 500 || math.Abs(a.Workload.Rate/whole.Rate-0.1) > 0.01 {
		t.Errorf("a tenth of the agents at the same speed: %v events/s of %v", a.Workload.Rate, whole.Rate)
	}
	if a, _ = ask("--workload", "recorded", "--rate", "100"); a.Workload.Rate != 100 {
		t.Errorf("%v events/s, asked for 100", a.Workload.Rate)
	}
}
