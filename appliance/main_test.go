package main

import (
	"os"
	"testing"
)

// asEyrie makes this test's own binary behave as eyrie, so that the tests run
// the real process without building it a second time.
const asEyrie = "BE_EYRIE_ITSELF"

func TestMain(m *testing.M) {
	if os.Getenv(asEyrie) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}
