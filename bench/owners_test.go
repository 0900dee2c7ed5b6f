//go:build linux

package bench

import (
	"math"
	"testing"
)

func TestParseHeap(t *testing.T) {
	got, err := parseHeap(`heap profile: 3: 300 [9: 900] @ heap/4096
2: 8192000 [2: 8192000] @ 0x1 0x2
#	0x1	eyrie/netpoll.(*slab).grow+0x1	/x/slab.go:1
#	0x2	eyrie/netpoll.(*Loop).run+0x1	/x/loop.go:1

1: 64 [1: 64] @ 0x3
#	0x3	github.com/cockroachdb/pebble/v2.Open+0x1	/x/open.go:1
#	0x4	eyrie/wal.Open+0x1	/x/open.go:1

0: 0 [5: 500] @ 0x5
#	0x5	eyrie/engine.x+0x1	/x/x.go:1

1: 2048000 [1: 2048000] @ 0x7
#	0x7	runtime.growslice+0x1	/x/slice.go:1
#	0x8	eyrie/wal.(*Writer).Fence+0x1	/x/writer.go:1
#	0x9	eyrie/appliance/intake.(*Intake).hello+0x1	/x/link.go:1

1: 4096000 [1: 4096000] @ 0x6
#	0x6	main.main+0x1	/x/main.go:1

# runtime.MemStats
# Alloc = 1
`)
	if err != nil {
		t.Fatal(err)
	}
	small := 64 / (1 - math.Exp(-64.0/2048))
	if len(got) != 4 || got["log"] != 2048000 || got["engine"] != 8192000 || math.Abs(got["stores"]-small) > 1e-6 || got["rest"] != 4096000 {
		t.Errorf("%v", got)
	}
	if _, err := parseHeap("<html>"); err == nil {
		t.Error("what is no profile was read")
	}
}
