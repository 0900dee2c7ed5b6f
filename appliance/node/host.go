package node

import (
	"os"
	"strconv"
	"strings"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"golang.org/x/sys/unix"
)

// host is what decisions are made from. Zero means not known.
type host struct {
	cores      int
	memory     uint64 // bytes that this process may use
	memoryFrom string // "container" or "host"
	nofile     uint64 // soft limit of open descriptors
	nofileMax  uint64 // hard limit
	tcpRead    uint64 // bytes, most that the kernel gives a socket's receive buffer
	tcpWrite   uint64 // bytes, the same for sending
}

// readHost reads the machine this process runs on.
func readHost() host {
	h := host{cores: cores(), tcpRead: tcpMost("tcp_rmem"), tcpWrite: tcpMost("tcp_wmem")}
	if n, err := memlimit.FromCgroupHybrid(); err == nil && n > 0 {
		h.memory, h.memoryFrom = n, "container"
	}
	if n, err := memlimit.FromSystem(); err == nil && n > 0 && (h.memory == 0 || n < h.memory) {
		h.memory, h.memoryFrom = n, "host"
	}
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) == nil {
		h.nofile, h.nofileMax = r.Cur, r.Max
	}
	return h
}

// tcpMost reads the last of the three numbers of a TCP memory setting.
func tcpMost(name string) uint64 {
	b, err := os.ReadFile("/proc/sys/net/ipv4/" + name)
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b))
	if len(f) != 3 {
		return 0
	}
	n, _ := strconv.ParseUint(f[2], 10, 64)
	return n
}
