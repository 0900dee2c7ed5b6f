package logbench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"eyrie/bench/child"
)

// What Redis is given: one stream, an XADD an event, pipelines of a frame's 100
// over 50 connections, so many of them unanswered on each.
const (
	RedisConnections = 50
	RedisFlight      = 20
)

// RedisSettings are those of its server, beside a unix socket.
var RedisSettings = []string{"appendonly yes", "appendfsync always", "save \"\"", "auto-aof-rewrite-percentage 0"}

// StartRedis starts redis-server on a folder of its own.
func StartRedis(dir string) (*Server, string, error) {
	exe, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, "", err
	}
	version, err := exec.Command(exe, "--version").Output()
	if err != nil {
		return nil, "", err
	}
	sock := filepath.Join(dir, "s")
	conf := []string{"port 0", "unixsocket " + sock, "dir " + dir, "daemonize no", "logfile " + filepath.Join(dir, "log")}
	path := filepath.Join(dir, "redis.conf")
	if err := os.WriteFile(path, []byte(strings.Join(append(conf, RedisSettings...), "\n")+"\n"), 0o600); err != nil {
		return nil, "", err
	}
	cmd := exec.Command(exe, path)
	if err := child.Launch(cmd); err != nil {
		return nil, "", err
	}
	s := &Server{cmd: cmd, stop: kill}
	for range RedisConnections {
		c, err := dialUntil(sock, 10*time.Second)
		if err != nil {
			s.Close()
			return nil, "", err
		}
		s.links = append(s.links, &redisLink{c: c, r: bufio.NewReaderSize(c, 64<<10)})
	}
	return s, strings.TrimSpace(string(version)), nil
}

func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// dialUntil connects to a unix socket that may not be there yet.
func dialUntil(sock string, within time.Duration) (net.Conn, error) {
	for end := time.Now().Add(within); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("unix", sock)
		if err == nil || time.Now().After(end) {
			return c, err
		}
	}
}

type redisLink struct {
	c net.Conn
	r *bufio.Reader
	b []byte
}

func (l *redisLink) close() { l.c.Close() }

func (l *redisLink) run(p *Pool, next func() (int, bool)) (int, error) {
	flight := make(chan struct{}, RedisFlight)
	sent := make(chan error, 1)
	go func() {
		defer close(flight)
		var items [FrameEvents]Item
		for n, ok := next(); ok; n, ok = next() {
			p.Frame(n, &items)
			l.b = appendXADD(l.b[:0], items[:])
			flight <- struct{}{}
			if _, err := l.c.Write(l.b); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	events := 0
	var err error
	for range flight {
		for range FrameEvents {
			if err == nil {
				err = l.reply()
			}
		}
		if events += FrameEvents; err != nil {
			l.c.Close() // the sender may wait for room
		}
	}
	return events, errors.Join(err, <-sent)
}

// appendXADD writes an XADD for each event (RESP).
func appendXADD(b []byte, items []Item) []byte {
	for i := range items {
		b = append(b, "*5\r\n$4\r\nXADD\r\n$6\r\nevents\r\n$1\r\n*\r\n$1\r\np\r\n$"...)
		b = strconv.AppendInt(b, int64(len(items[i].Payload)), 10)
		b = append(append(append(b, "\r\n"...), items[i].Payload...), "\r\n"...)
	}
	return b
}

// reply reads one XADD's answer, the entry's id.
func (l *redisLink) reply() error {
	line, err := l.r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if line[0] != '$' {
		return fmt.Errorf("redis: %s", bytes.TrimSpace(line))
	}
	_, err = l.r.ReadSlice('\n')
	return err
}
