package main

import (
	"os"
	"testing"
)

// asEyrie makes this test's own binary behave as eyrie, so that the tests run
// the real process without building it a second time.
const asEyrie = "BE_EYRIE_ITSELF"

// prepare is what tests change in such a process.
var prepare = func() {}

func TestMain(m *testing.M) {
	if os.Getenv(asEyrie) != "" {
		prepare()
		main()
		return
	}
	os.Exit(m.Run())
}

// longOnly skips what starts a process for each step: under the race detector
// (make test-race is short) a start alone takes most of a second.
func longOnly(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("many processes; the long run has it")
	}
}
