package bench

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// heapRate is how many bytes lie between two samples of the server's heap
// profile while memory is measured: small, so that 1 KB a link shows.
const heapRate = 2048

// Variables of a server whose heap is sampled: finely, which costs it time, or as
// roughly as does under load.
var (
	fineHeap  = []string{fmt.Sprintf("GODEBUG=memprofilerate=%d", heapRate)}
	roughHeap = []string{"GODEBUG=memprofilerate=65536"}
)

// owners maps part of the name of a function to who holds what it allocated.
// The innermost frame of a stack that has one decides.
var owners = []struct{ part, owner string }{
	{"cockroachdb/pebble", "stores"},
	{"eyrie/appliance/views", "views"},
	{"eyrie/tsdb", "views"},
	{"eyrie/appliance/api", "api"},
	{"eyrie/appliance/intake", "intake"},
	{"eyrie/engine", "engine"},
	{"eyrie/netpoll", "engine"},
	{"eyrie/wal", "log"},
}

// held returns the live bytes of the server's heap by owner, "rest" for others.
func held(ctx context.Context, srv *Server) (map[string]float64, error) {
	code, b, err := srv.get(ctx, "/debug/pprof/heap?gc=1&debug=1")
	if err != nil {
		return nil, err
	}
	if code != 200 {
		return nil, fmt.Errorf("heap profile: %d", code)
	}
	return parseHeap(string(b))
}

var (
	heapHead  = regexp.MustCompile(`^heap profile: .* @ heap/(\d+)`)
	heapEntry = regexp.MustCompile(`^(\d+): (\d+) \[\d+: \d+\] @`)
)

// parseHeap reads a heap profile in its text form: for each stack the samples,
// which are scaled up as pprof does, and the functions, innermost first.
func parseHeap(text string) (map[string]float64, error) {
	var rate, bytes float64
	var stack strings.Builder
	out := map[string]float64{}
	flush := func() {
		if bytes > 0 {
			out[ownerOf(stack.String())] += bytes
		}
		bytes = 0
		stack.Reset()
	}
	for l := range strings.Lines(text) {
		if h := heapHead.FindStringSubmatch(l); h != nil {
			n, _ := strconv.ParseFloat(h[1], 64)
			rate = n / 2 // the head names twice the rate
		} else if e := heapEntry.FindStringSubmatch(l); e != nil {
			flush()
			n, _ := strconv.ParseFloat(e[1], 64)
			size, _ := strconv.ParseFloat(e[2], 64)
			if n > 0 && rate > 1 {
				size /= 1 - math.Exp(-size/n/rate)
			}
			bytes = size
		} else if strings.HasPrefix(l, "#") {
			stack.WriteString(l)
		}
	}
	flush()
	if rate == 0 {
		return nil, fmt.Errorf("heap profile: its head is %.80q", text)
	}
	return out, nil
}

func ownerOf(stack string) string {
	for frame := range strings.Lines(stack) {
		for _, o := range owners {
			if strings.Contains(frame, o.part) {
				return o.owner
			}
		}
	}
	return "rest"
}
