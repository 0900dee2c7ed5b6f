//go:build linux

package netpoll

import (
	"net"
	"os"
	"sync"
	"testing"

	"eyrie/netpoll/tables"

	"golang.org/x/sys/unix"
)

// ownTables opens a set that ends after the Poll of a later Cleanup.
func ownTables(t testing.TB, n int) *tables.Set {
	t.Helper()
	s, err := tables.Open(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// everyTestOnTables puts the loops of every test that leaves the choice on
// tables of their own: EYRIE_NETPOLL_TABLES=1 go test ./netpoll
func everyTestOnTables(t testing.TB, cfg *Config) {
	if os.Getenv("EYRIE_NETPOLL_TABLES") != "" && cfg.Tables == nil {
		cfg.Tables = ownTables(t, cfg.Loops)
	}
}

// oneTable skips a test that uses the loops' descriptors from outside.
func oneTable(t testing.TB) {
	if os.Getenv("EYRIE_NETPOLL_TABLES") != "" {
		t.Skip("a loop's descriptors mean nothing outside")
	}
}

// TestOwnTables holds more connections than the limit of descriptors allows a
// table, has each of them echo, and takes some of them off their loops.
func TestOwnTables(t *testing.T) {
	const loops, each, limit = 3, 150, 256
	set := ownTables(t, loops)
	clients := ownTables(t, loops)
	taken := make(chan int, loops*each)
	p, addr := serve(t, Config{Loops: loops, Tables: set}, func(k *hooks) {
		k.read = func(h Handle, b []byte) int {
			if b[0] == 'd' {
				if err := k.l.Detach(h, func(fd int, err error) {
					if err != nil {
						t.Error(err)
					}
					taken <- fd
				}); err != nil {
					t.Error(err)
				}
				return len(b)
			}
			if err := k.l.Write(h, b); err != nil {
				t.Error(err)
			}
			return len(b)
		}
	})
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &was)
	low := was
	low.Cur = limit
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	fds := make([][]int, loops)
	var all sync.WaitGroup
	for i := range loops {
		all.Add(1)
		clients.Thread(i).Go(func() {
			defer all.Done()
			for range each {
				fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
				if err == nil {
					err = rawConnect(fd, addr)
				}
				if err != nil {
					t.Errorf("client: %v", err)
					return
				}
				fds[i] = append(fds[i], fd)
			}
		})
	}
	all.Wait()
	await(t, "all accepted", func() bool { return p.Conns() == loops*each })
	if loops*each <= limit {
		t.Fatal("the test shows nothing")
	}
	for i := range loops {
		clients.Thread(i).Do(func() {
			b := []byte("echo")
			for _, fd := range fds[i] {
				if _, err := unix.Write(fd, b); err != nil {
					t.Error(err)
				}
				if n, err := unix.Read(fd, b); n != 4 || err != nil || string(b) != "echo" {
					t.Errorf("%d, %v, %q", n, err, b)
				}
			}
			// One of each thread's goes to the process' own table.
			if _, err := unix.Write(fds[i][0], []byte("d")); err != nil {
				t.Error(err)
			}
		})
		fd := <-taken
		if _, err := unix.Write(fd, []byte("from")); err != nil {
			t.Error(err)
		}
		unix.Close(fd)
		clients.Thread(i).Do(func() {
			b := make([]byte, 8)
			if n, err := unix.Read(fds[i][0], b); n != 4 || err != nil || string(b[:n]) != "from" {
				t.Errorf("%d, %v, %q", n, err, b)
			}
			if n, err := unix.Read(fds[i][0], b); n != 0 || err != nil {
				t.Errorf("%d, %v, want the end: someone still has the connection", n, err)
			}
		})
	}
	await(t, "the detached to be gone", func() bool { return p.Conns() == loops*(each-1) })
	at, err := p.Listen("127.0.0.1:0", 8) // loops run: each opens its own
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, at.String())
	echoOnce(t, c, []byte("late"))
	p.StopAccepting()
	if _, err := net.Dial("tcp", at.String()); err == nil {
		t.Error("still accepting")
	}
}
