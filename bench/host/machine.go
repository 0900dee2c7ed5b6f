package host

import (
	"bufio"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// Machine is what the figures hold for.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory uint64 `json:"memory_mib"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	Arch   string `json:"arch"`
	Disk   string `json:"file_system"` // of the data folder
}

// Describe reads the machine; dir is where the data lies.
func Describe(dir string) Machine {
	m := Machine{Cores: runtime.NumCPU(), Go: runtime.Version(), Arch: runtime.GOOS + "/" + runtime.GOARCH, Disk: fileSystem(dir)}
	m.CPU, _ = field("/proc/cpuinfo", "model name")
	if kb, ok := field("/proc/meminfo", "MemTotal"); ok {
		m.Memory = number(kb) >> 10
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(b))
	}
	return m
}

// field returns the value of the first line "name: value" of a file.
func field(path, name string) (string, bool) {
	f, err := os.Open(path)
	if err != nil {
		return "", false
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		k, v, ok := strings.Cut(sc.Text(), ":")
		if ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v), true
		}
	}
	return "", false
}

// number reads the digits that s begins with.
func number(s string) uint64 {
	s, _, _ = strings.Cut(strings.TrimSpace(s), " ")
	n, _ := strconv.ParseUint(s, 10, 64)
	return n
}

// fileSystem returns the type and source of the mount that dir lies on.
func fileSystem(dir string) string {
	f, err := os.Open("/proc/self/mounts")
	if err != nil {
		return ""
	}
	defer f.Close()
	best, out := -1, ""
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		p := strings.Fields(sc.Text())
		if len(p) < 3 {
			continue
		}
		at := p[1]
		if (dir == at || at == "/" || strings.HasPrefix(dir, at+"/")) && len(at) > best {
			best, out = len(at), p[2]
		}
	}
	return out
}

// Kernel returns the kernel's memory that sockets grow: slabs and TCP buffers.
func Kernel() (bytes uint64) {
	if kb, ok := field("/proc/meminfo", "Slab"); ok {
		bytes = number(kb) << 10
	}
	tcp, _ := field("/proc/net/sockstat", "TCP")
	if f := strings.Fields(tcp); len(f) > 1 && f[len(f)-2] == "mem" {
		bytes += number(f[len(f)-1]) * uint64(os.Getpagesize())
	}
	return bytes
}
