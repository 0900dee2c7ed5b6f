package api_test

import (
	"testing"

	"go.uber.org/goleak"
)

// fasthttp's cleaner of idle workers ends within ten seconds of its server.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}
