//go:build linux

package node_test

import (
	"testing"
	"time"
)

// Both stores tell what they hold; the views' store has tables of level 0 after
// its first flush.
func TestStoresAreMetered(t *testing.T) {
	r := newRig(t, t.TempDir())
	for _, store := range []string{"log", "views"} {
		if n := r.metric(t, `eyrie_store_disk_bytes{store="`+store+`"}`); n <= 0 {
			t.Errorf("the store of %s takes %v bytes", store, n)
		}
	}
	r.metric(t, "eyrie_wal_seal_behind_bytes")
	if n := r.metric(t, `eyrie_store_l0_files{store="log"}`); n < 0 {
		t.Errorf("%v files", n)
	}
	// Each is asked for on its own: a merge in between leaves level 0 empty.
	for _, name := range []string{"files", "bytes", "depth"} {
		for end := time.Now().Add(10 * time.Second); r.metric(t, `eyrie_store_l0_`+name+`{store="views"}`) <= 0; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("no %s of level 0 after ten seconds of saves each second", name)
			}
		}
	}
	if n := r.metric(t, "eyrie_process_descriptors"); n < 10 {
		t.Errorf("%v descriptors", n)
	}
	if n := r.metric(t, "eyrie_go_heap_live_bytes"); n <= 0 {
		t.Errorf("%v bytes live after a collection", n)
	}
}
