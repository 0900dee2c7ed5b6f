//go:build linux

package node_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"eyrie/appliance/views/spans"

	"github.com/google/go-cmp/cmp"
)

// Spans count against the disk budget beside the blobs, none is over its time while the log has
// dropped nothing, and the runs that are held are those that the log knows.
func TestSpansAreKeptAsTheLogSays(t *testing.T) {
	r := newRig(t, t.TempDir())
	var b strings.Builder
	b.WriteString(`{"type":"run","agent":"a0","run":"r/1","phase":"start"}`)
	for i := range 499 {
		b.WriteByte(',')
		fmt.Fprintf(&b, `{"type":"tool","agent":"a%d","run":"r/%d","span":"s%d","name":"Bash"}`, i%10, i%2, i)
	}
	if a := r.ask(t, "POST", "/v1/events", `{"events":[`+b.String()+`]}`); a.StatusCode != 200 || !strings.Contains(string(a.body), `"stored":500`) {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	eventually(t, "the run, to be held", func() bool { return r.ask(t, "PUT", "/v1/runs/main/r%2F1/hold", "").StatusCode == 200 })
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		beside, blobs, from, held, err := r.Kept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]spans.RunID{{Space: "main", Run: "r/1"}}, held); diff != "" {
			t.Fatal(diff)
		}
		if from != 1 {
			t.Fatalf("spans are kept from %d on, and the log has dropped nothing", from)
		}
		if beside > blobs {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d bytes beside the log, %d of blobs: no spans after 15 s of saves each second", beside, blobs)
		}
	}
}
