//go:build linux

package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"eyrie/bench/report"
	"eyrie/bench/workload"
)

// fewFaults is the life of TestFaults' child, which has a network of its own: as
// little as there can be of each kind. Whether the peers were felt is not for so
// short a look.
func fewFaults(_ io.Reader, out io.Writer) error {
	dir, err := os.MkdirTemp("", "faults")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	rep, err := Faults{
		Common: Common{Exe: exe, Client: []string{"bench", "client"}, Dir: dir}, Hostile: []string{"bench", "hostile"},
		Rate: 500, Peers: 10, Rounds: 1, Window: 300 * time.Millisecond, Exhaust: 500 * time.Millisecond,
		Shape: workload.Shape{Seed: 5, Agents: 100, Connections: 20, Frame: 5},
	}.Run(ctx)
	if rep == nil {
		return err
	}
	return rep.WriteJSON(out)
}

// TestFaults: each kind of bad peers comes and goes beside good links that lose
// nothing, and every figure is there.
func TestFaults(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	ran, err := WithOwnNetwork([]string{"bench", "faults"}, &out)
	if !ran && err == nil {
		t.Skip("packets are dropped in a network namespace only, which needs root, nft and the right to make one")
	}
	if err != nil {
		t.Fatal(err)
	}
	var rep report.Report
	if err := json.Unmarshal(out.Bytes(), &rep); err != nil {
		t.Fatalf("%v: %s", err, out.Bytes())
	}
	for _, s := range rep.Settings {
		if strings.HasPrefix(s.Value, "NOT MEASURED") {
			t.Errorf("%s: %s", s.Name, s.Value)
		}
	}
	for _, kind := range []string{"stalled readers", "slow writers", "half-open peers", "packet loss", "no descriptors"} {
		for _, f := range []string{"p99 without", "p99 with", "moved", "server", "recovered"} {
			if v, ok := rep.Figure(fmt.Sprint(kind, ": ", f)); !ok || v <= 0 {
				t.Errorf("%s: %s: %v, there %t", kind, f, v, ok)
			}
		}
	}
	for _, f := range rep.Faults {
		t.Log(f)
	}
}
