package spans

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"
)

// mapped returns the bytes of the address space in use.
func mapped(t *testing.T) int {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(string(bytes.Fields(b)[0]))
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// TestLinesAreGivenBack: large layers are of zeros, can be written, and go back to the system.
func TestLinesAreGivenBack(t *testing.T) {
	const layers, each = 32, 32 << 20
	before := mapped(t)
	f := filter{most: layers * each / lineBytes}
	for range layers {
		f.put(each/lineBytes, 0)
		l := &f.layers[len(f.layers)-1]
		if l.lease == nil || l.lines[0] != (line{}) || l.lines[len(l.lines)-1] != (line{}) {
			t.Fatal("not of its own, or not empty")
		}
		l.lines[0][0], l.lines[len(l.lines)-1][7] = 1, 1
	}
	if n := mapped(t) - before; n < layers*each {
		t.Fatalf("%d bytes more are mapped, want %d", n, layers*each)
	}
	runtime.KeepAlive(f.layers)
	f.layers = nil
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		runtime.GC()
		n := mapped(t) - before
		if n < layers*each/4 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d bytes are still mapped", n)
		}
	}
}
