package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// kernel checks the settings of the kernel that bound how many connections this
// host bears, and raises them if fix is set. root is where they are, /proc/sys.
type kernel struct {
	root string
	fix  bool
}

// setting is one of them: the word'th of the numbers in file key.
type setting struct {
	check string // what a person calls it
	key   string // below root, with slashes
	word  int
	want  uint64
	unit  uint64 // bytes each counts, 0 = a plain number
	why   string
	needs bool // its absence is worth a word; otherwise it means that the limit does not exist
}

// What a connection takes of what the kernel counts.
const (
	socketBytes = 8 << 10 // both directions' buffers while little is in flight
	// portsWant is what proxies and load clients on this host need for one
	// address of theirs; agents elsewhere bring their own.
	portsWant = 28_000
)

func (k kernel) examine(links int) []finding {
	n := uint64(links)
	page := uint64(os.Getpagesize())
	var fs []finding
	for _, s := range []setting{
		{check: "descriptors a process may have", key: "fs/nr_open", want: n + 1000, why: "the hard limit of open files cannot be above it", needs: true},
		{check: "descriptors of the host", key: "fs/file-max", want: n + 10_000, why: "open files of all processes together", needs: true},
		{check: "accept queue", key: "net/core/somaxconn", want: 4096, why: "connections that may wait to be accepted; a reconnect storm needs them", needs: true},
		{check: "handshakes under way", key: "net/ipv4/tcp_max_syn_backlog", want: 4096, why: "connections that may be half open", needs: true},
		{check: "TCP memory", key: "net/ipv4/tcp_mem", word: 2, want: (n*socketBytes + page - 1) / page, unit: page, why: "above it the kernel drops what arrives", needs: true},
		{check: "connection tracking", key: "net/netfilter/nf_conntrack_max", want: n + n/4, why: "connections beyond it are dropped"},
	} {
		fs = append(fs, k.check(s))
	}
	return append(fs, k.ports())
}

// read returns the numbers of one setting.
func (k kernel) read(key string) ([]uint64, error) {
	b, err := os.ReadFile(filepath.Join(k.root, key))
	if err != nil {
		return nil, err
	}
	var ns []uint64
	for f := range strings.FieldsSeq(string(b)) {
		n, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			return nil, err
		}
		ns = append(ns, n)
	}
	return ns, nil
}

func (k kernel) check(s setting) finding {
	f := finding{Check: s.check, Level: "ok"}
	ns, err := k.read(s.key)
	switch {
	case (err != nil || len(ns) <= s.word) && s.needs:
		f.Level, f.Got = "warn", "not readable here"
		return f
	case err != nil || len(ns) <= s.word:
		f.Got = "off"
		return f
	}
	show := func(n uint64) string {
		if s.unit > 0 {
			return mib(n * s.unit)
		}
		return strconv.FormatUint(n, 10)
	}
	f.Got = show(ns[s.word])
	if ns[s.word] >= s.want {
		return f
	}
	ns[s.word] = s.want
	k.raise(&f, s.key, ns, show(s.want), s.why)
	return f
}

// ports checks how many outgoing ports one address has.
func (k kernel) ports() finding {
	const key = "net/ipv4/ip_local_port_range"
	f := finding{Check: "ports", Level: "ok"}
	ns, err := k.read(key)
	if err != nil || len(ns) != 2 || ns[1] < ns[0] {
		f.Level, f.Got = "warn", "not readable here"
		return f
	}
	have := ns[1] - ns[0] + 1
	f.Got = fmt.Sprintf("%d to %d", ns[0], ns[1])
	if have < portsWant {
		k.raise(&f, key, []uint64{10_240, 65_535}, "10240 to 65535", "a proxy in front, or a load client, on this host opens so many connections from one address")
	}
	return f
}

// raise says what key should be, and makes it so if it may.
func (k kernel) raise(f *finding, key string, to []uint64, want, why string) {
	var words []string
	for _, n := range to {
		words = append(words, strconv.FormatUint(n, 10))
	}
	value, dotted := strings.Join(words, " "), strings.ReplaceAll(key, "/", ".")
	f.Level, f.Want = "warn", want
	f.Advice = fmt.Sprintf("%s: sysctl -w %s='%s'", why, dotted, value)
	if !k.fix {
		return
	}
	if err := os.WriteFile(filepath.Join(k.root, key), []byte(value), 0o644); err != nil {
		f.Advice += "; not allowed here: " + err.Error()
		return
	}
	f.Level, f.Fixed = "ok", true
	f.Advice = fmt.Sprintf("until the next boot; to keep it, a line in /etc/sysctl.d: %s = %s", dotted, value)
}
