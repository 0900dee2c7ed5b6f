package peers

import (
	"encoding/json"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestClientAndBareLoop: the client counts what the bare loop answers, in
// every workload.
func TestClientAndBareLoop(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	go func() { _ = ServeBare(ln.Addr().(*net.TCPAddr).Port) }() // until the test's process ends
	if err := Listening(addr, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	for _, w := range Workloads() {
		w.Conns = 3
		if done := drive(t, Job{Addr: addr, Core: -1, Workload: w}, 30*time.Millisecond); done.Error != "" || done.Messages == 0 || done.Messages%uint64(w.Burst) != 0 {
			t.Errorf("%s: %+v", w.Name, done)
		}
	}
}

// drive runs one client for d and returns its last answer.
func drive(t *testing.T, job Job, d time.Duration) (done Done) {
	t.Helper()
	var in strings.Builder
	enc := json.NewEncoder(&in)
	if enc.Encode(job) != nil || enc.Encode(Order{For: d}) != nil {
		t.Fatal("no job")
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(ServeClient(strings.NewReader(in.String()), w)) }()
	for dec := json.NewDecoder(r); dec.Decode(&done) == nil; {
	}
	return done
}
