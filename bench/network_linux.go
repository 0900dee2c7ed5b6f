package bench

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownNetwork is set in the environment of a process that has a network of its own.
const ownNetwork = "EYRIE_BENCH_OWN_NETWORK"

// HasOwnNetwork reports whether packets may be dropped here: this process runs
// in a network namespace that was made for it.
func HasOwnNetwork() bool { return os.Getenv(ownNetwork) != "" }

// WithOwnNetwork runs this binary once more, with args, in a network namespace
// of its own. It needs root; ok is false where that is missing, and nothing has
// run then.
func WithOwnNetwork(args []string, out io.Writer) (ok bool, err error) {
	if os.Geteuid() != 0 {
		return false, nil
	}
	if _, err := exec.LookPath("nft"); err != nil {
		return false, nil
	}
	exe, err := os.Executable()
	if err != nil {
		return false, err
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), ownNetwork+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, out, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return false, nil // no right to make one
	}
	return true, cmd.Wait()
}

// raiseLoopback brings lo up, which a new namespace has down.
func raiseLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r)
}

// dropPackets has the kernel drop so many of a hundred packets from and to a
// loopback address, of this process's own network; the call returned undoes it.
func dropPackets(addr string, percent int) (undo func() error, err error) {
	if !HasOwnNetwork() {
		return nil, errors.New("packets are dropped in a network of the measurement's own only")
	}
	which := ""
	if percent < 100 {
		which = fmt.Sprintf("numgen random mod 100 < %d ", percent)
	}
	rules := fmt.Sprintf(`table ip eyrie_bench {
	chain in {
		type filter hook input priority 0;
		ip saddr %[1]s %[2]sdrop
		ip daddr %[1]s %[2]sdrop
	}
}
`, addr, which)
	if err := nft("-f", rules); err != nil {
		return nil, err
	}
	return func() error { return nft("delete table ip eyrie_bench", "") }, nil
}

// nft runs one command; "-f" reads rules instead.
func nft(command, rules string) error {
	args := strings.Fields(command)
	if command == "-f" {
		args = []string{"-f", "-"}
	}
	cmd := exec.Command("nft", args...)
	cmd.Stdin = strings.NewReader(rules)
	if b, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, b)
	}
	return nil
}

// limitDescriptors sets the soft limit of a process.
func limitDescriptors(pid int, n uint64) (was uint64, err error) {
	var r unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &r); err != nil {
		return 0, err
	}
	was, r.Cur = r.Cur, min(n, r.Max)
	return was, unix.Prlimit(pid, unix.RLIMIT_NOFILE, &r, nil)
}
