package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tree writes kernel settings below a folder.
func tree(t *testing.T, settings map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for key, v := range settings {
		p := filepath.Join(root, key)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(v+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestKernel(t *testing.T) {
	good := map[string]string{
		"fs/nr_open": "1048576", "fs/file-max": "9223372036854775807", "net/core/somaxconn": "4096",
		"net/ipv4/tcp_max_syn_backlog": "4096", "net/ipv4/tcp_mem": "287832\t383779\t575664", "net/ipv4/ip_local_port_range": "32768\t60999",
	}
	with := func(key, v string) map[string]string {
		m := map[string]string{}
		for k, o := range good {
			m[k] = o
		}
		m[key] = v
		return m
	}
	for _, c := range []struct {
		name     string
		settings map[string]string
		links    int
		check    string // the one finding that is not ok
		want     string // in its advice
		fixed    string // what the setting holds after fix
		key      string
	}{
		{"all is well", good, 65_000, "", "", "", ""},
		{"a short accept queue", with("net/core/somaxconn", "128"), 65_000, "accept queue", "sysctl -w net.core.somaxconn='4096'", "4096", "net/core/somaxconn"},
		{"too few descriptors", with("fs/nr_open", "20000"), 65_000, "descriptors a process may have", "fs.nr_open='66000'", "66000", "fs/nr_open"},
		{"little TCP memory", with("net/ipv4/tcp_mem", "100 200 300"), 65_000, "TCP memory", "net.ipv4.tcp_mem='100 200 130000'", "100 200 130000", "net/ipv4/tcp_mem"},
		{"tracked connections", with("net/netfilter/nf_conntrack_max", "65536"), 65_000, "connection tracking", "nf_conntrack_max='81250'", "81250", "net/netfilter/nf_conntrack_max"},
		{"few ports", with("net/ipv4/ip_local_port_range", "60000 60999"), 65_000, "ports", "ip_local_port_range='10240 65535'", "10240 65535", "net/ipv4/ip_local_port_range"},
		{"a setting that is no number", with("fs/nr_open", "x"), 65_000, "descriptors a process may have", "", "", ""},
	} {
		if os.Getpagesize() != 4096 && c.check == "TCP memory" {
			continue // the numbers above count pages of 4 KiB
		}
		root := tree(t, c.settings)
		for _, f := range (kernel{root: root}).examine(c.links) {
			if bad := f.Level != "ok"; bad != (f.Check == c.check) {
				t.Errorf("%s: %s is %s: %s, want %s", c.name, f.Check, f.Level, f.Got, f.Want)
			}
			if f.Check == c.check && !strings.Contains(f.Advice, c.want) {
				t.Errorf("%s: advice %q, want it to say %q", c.name, f.Advice, c.want)
			}
		}
		if c.fixed == "" {
			continue
		}
		for _, f := range (kernel{root: root, fix: true}).examine(c.links) {
			if f.Fixed != (f.Check == c.check) || f.Level != "ok" {
				t.Errorf("%s: after fix %s is %s, fixed %t", c.name, f.Check, f.Level, f.Fixed)
			}
		}
		b, err := os.ReadFile(filepath.Join(root, c.key))
		if err != nil || string(b) != c.fixed {
			t.Errorf("%s: the setting is %q (%v) after fix, want %q", c.name, b, err, c.fixed)
		}
		for _, f := range (kernel{root: root}).examine(c.links) {
			if f.Level != "ok" {
				t.Errorf("%s: once fixed, %s is %s", c.name, f.Check, f.Level)
			}
		}
	}
}
