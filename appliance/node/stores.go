package node

import (
	"fmt"
	"io"
	"runtime/metrics"

	"github.com/cockroachdb/pebble/v2"
)

// meterStores writes to /metrics what the two stores hold and owe, asking each
// once, and what of the process the metrics library leaves out. It may run until
// the stores are closed.
func (n *Node) meterStores(w io.Writer) {
	log, views := n.log.Stats(), &pebble.Metrics{}
	if v := n.loading.opened.Load(); v != nil {
		views = v.store.Metrics()
	}
	l0 := &views.Levels[0]
	for _, m := range []struct {
		name       string
		log, views uint64
	}{
		{"eyrie_store_l0_files", uint64(log.L0Files), uint64(l0.TablesCount)},
		{"eyrie_store_l0_bytes", uint64(log.L0Bytes), uint64(l0.TablesSize)},
		{"eyrie_store_l0_depth", uint64(log.L0Depth), uint64(l0.Sublevels)},
		{"eyrie_store_disk_bytes", log.DiskBytes, views.DiskSpaceUsage()},
	} {
		fmt.Fprintf(w, "%s{store=\"log\"} %d\n%s{store=\"views\"} %d\n", m.name, m.log, m.name, m.views)
	}
	fmt.Fprintf(w, "eyrie_wal_seal_behind_bytes %d\n", log.SealBehind)
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	fmt.Fprintf(w, "eyrie_process_descriptors %d\n", n.self.descriptors())
	fmt.Fprintf(w, "eyrie_go_heap_live_bytes %d\n", live[0].Value.Uint64())
}
