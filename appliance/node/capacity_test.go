//go:build linux

package node_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"eyrie/appliance/capacity"
)

// What the watch is given is what the process does: CPU, events, samples, bytes.
func TestWatchIsGivenWhatTheNodeDoes(t *testing.T) {
	t.Parallel()
	r := newRig(t, t.TempDir())
	before := r.Reading()
	const n = 3000
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"agent":"a-%d","type":"metrics","name":"host","metrics":{"cpu":%d,"memory":%d}}`+"\n", i%10, i, i)
	}
	q, _ := http.NewRequest("POST", "http://"+r.ingest+"/v1/events", strings.NewReader(b.String()))
	q.Header.Set("Authorization", "Bearer "+r.agent)
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(a.Body)
	a.Body.Close()
	if a.StatusCode != 200 {
		t.Fatalf("%s", body)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		after := r.Reading()
		if after.Samples-before.Samples >= 2*n && after.Lag == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%+v, then %+v", before, after)
		}
	}
	after := r.Reading()
	after.At = before.At.Add(10 * time.Second)
	v, ok := capacity.Between(&before, &after)
	if !ok || v.Events < n/10 || v.Samples < 2*n/10 || v.CPU <= 0 {
		t.Errorf("%+v", v)
	}
	// Thousands of events take milliseconds, and far less than the test may last.
	if cpu := after.CPU - before.CPU; cpu < 0.002 || cpu > 600 {
		t.Errorf("%v s of CPU", cpu)
	}
	// eyrie's own reports are events, too.
	if e := after.Events - before.Events; e < n || e > n+100 {
		t.Errorf("%d events", e)
	}
	if after.Agents != 10 || after.Memory < 10<<20 || after.LogBytes == 0 || after.ViewsBytes == 0 || after.Records < n || after.Series < 20 {
		t.Errorf("%+v", after)
	}
	c := r.Capacity()
	if c.Host.Cores < 1 || c.Host.CPU == "" || c.Host.DiskUsed <= 0 {
		t.Errorf("%+v", c.Host)
	}
	// And it is given it as time goes by.
	for end := time.Now().Add(3 * capacity.ReadEvery); c.Live == nil; c = r.Capacity() {
		if time.Now().After(end) {
			t.Fatal("no load was read")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if c.Live.CPU <= 0 || c.Live.Seconds <= 0 {
		t.Errorf("%+v", c.Live)
	}
}
