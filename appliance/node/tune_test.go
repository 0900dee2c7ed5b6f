package node

import (
	"slices"
	"testing"
	"time"

	"eyrie/appliance/config"
)

func TestDecide(t *testing.T) {
	gib := uint64(1) << 30
	for _, c := range []struct {
		name   string
		config config.Config
		host   host
		want   map[string]string // "" = must not be chosen
	}{
		{"a VM", config.Config{}, host{cores: 8, memory: 32 * gib, memoryFrom: "host", nofile: 1024, nofileMax: 1 << 20, tcpRead: 6 << 20},
			map[string]string{"loops": "8", "procs": "16", "background-nice": "10", "memory-mib": "26214", "cache-mib": "512", "memtable-mib": "128", "descriptors": "1048576", "socket-buffers": "kernel"}},
		{"a small container", config.Config{}, host{cores: 1, memory: gib / 4, memoryFrom: "container", nofile: 1024, nofileMax: 1024},
			map[string]string{"loops": "1", "memory-mib": "204", "cache-mib": "16", "memtable-mib": "16", "descriptors": "1024", "socket-buffers": ""}},
		{"what is set stays", config.Config{Loops: 3, Memory: 640, CacheMiB: 7}, host{cores: 8, memory: 32 * gib, memoryFrom: "host"},
			map[string]string{"loops": "", "memory-mib": "", "cache-mib": "", "memtable-mib": "16", "descriptors": ""}},
		{"nothing is known", config.Config{}, host{cores: 2},
			map[string]string{"loops": "2", "memory-mib": "", "cache-mib": "16", "memtable-mib": "16", "descriptors": ""}},
		{"tables are not needed", config.Config{OwnTables: true, Connections: 65000}, host{cores: 2, nofileMax: 1 << 20},
			map[string]string{"own-tables": "false", "loops": "2"}},
		{"tables are needed", config.Config{OwnTables: true, Connections: 65000}, host{cores: 2, nofileMax: 20000},
			map[string]string{"own-tables": "true", "loops": "4"}},
		{"cores are enough tables", config.Config{OwnTables: true, Connections: 65000}, host{cores: 16, nofileMax: 20000},
			map[string]string{"own-tables": "true", "loops": "16"}},
		{"tables not asked for", config.Config{Connections: 65000}, host{cores: 2, nofileMax: 20000},
			map[string]string{"own-tables": "", "loops": "2"}},
	} {
		got := decide(&c.config, c.host)
		for key, want := range c.want {
			i := slices.IndexFunc(got.why, func(w config.Tuned) bool { return w.Key == key })
			switch {
			case i < 0 && want != "":
				t.Errorf("%s: %s was not chosen, want %s", c.name, key, want)
			case i >= 0 && got.why[i].Value != want:
				t.Errorf("%s: %s is %q, want %q", c.name, key, got.why[i].Value, want)
			case i >= 0 && got.why[i].Why == "":
				t.Errorf("%s: %s has no reason", c.name, key)
			}
		}
	}
	set := decide(&config.Config{Loops: 3, Memory: 640, CacheMiB: 7}, host{cores: 8})
	if set.loops != 3 || set.memoryBytes != 640<<20 || set.cacheBytes != 7<<20 {
		t.Errorf("what was set is not in force: %+v", set)
	}
}

// A container that gets less memory has a lower heap limit without a restart;
// the number of loops stays, whatever the host says.
func TestTunesAgain(t *testing.T) {
	h := host{cores: 2, memory: 8 << 30, memoryFrom: "container", nofile: 0}
	now := time.UnixMilli(1000)
	tu := newTuner(&config.Config{}, func() time.Time { return now }, func() host { return h })
	defer newTuner(&config.Config{}, time.Now, readHost) // the process's own limits back
	if ch := tu.again(); len(ch) != 0 {
		t.Fatalf("changed %v though the host did not", ch)
	}
	h.memory, h.cores, now = 4<<30, 9, time.UnixMilli(5000)
	ch := tu.again()
	if len(ch) != 1 || ch[0].Key != "memory-mib" || ch[0].Value != "3276" {
		t.Fatalf("changed %v, want the memory limit alone", ch)
	}
	for _, d := range tu.decisions() {
		want := 1000.0
		if d.Key == "memory-mib" {
			want = 5000
		}
		if d.At != want {
			t.Errorf("%s was decided at %v, want %v", d.Key, d.At, want)
		}
		if d.Key == "loops" && d.Value != "2" {
			t.Errorf("loops changed to %s in a running process", d.Value)
		}
	}
	if v := tu.number("memory-mib"); v != 3276 {
		t.Errorf("metric says %v", v)
	}
}
