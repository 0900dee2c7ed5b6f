package logbench

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"eyrie/bench/child"
)

// What PostgreSQL is given: COPY in its binary format, so many frames in each
// and thus a transaction, over a few connections, into a table with a partition
// an hour.
const (
	CopyConnections = 4
	CopyFrames      = 100
)

// PostgresSettings are those of its server, beside a unix socket. Syncs are on,
// as is the default.
var PostgresSettings = []string{"fsync=on", "synchronous_commit=on", "full_page_writes=on", "shared_buffers=512MB", "wal_buffers=64MB", "max_wal_size=8GB", "checkpoint_timeout=15min", "wal_level=minimal", "max_wal_senders=0", "autovacuum=off"}

const postgresTables = `
CREATE TABLE bare (recv timestamptz NOT NULL, agent int4 NOT NULL, producer int4 NOT NULL, seq int8 NOT NULL, class int2 NOT NULL, flags int2 NOT NULL, key int4 NOT NULL, payload bytea NOT NULL) PARTITION BY RANGE (recv);
CREATE TABLE events (LIKE bare) PARTITION BY RANGE (recv);
CREATE INDEX ON events (agent, recv);
`

// Postgres is a cluster of its own with two tables: events with an index by
// agent and time, and bare without.
type Postgres struct {
	cmd  *exec.Cmd
	sock string
}

// StartPostgres makes a cluster in dir and starts it, as another user where this
// one is root.
func StartPostgres(dir string) (*Postgres, string, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, "", err
	}
	uid, gid := -1, -1
	name := "bench"
	if os.Geteuid() == 0 { // PostgreSQL refuses root
		u, err := user.Lookup("postgres")
		if err != nil {
			if u, err = user.Lookup("nobody"); err != nil {
				return nil, "", err
			}
		}
		uid, _ = strconv.Atoi(u.Uid)
		gid, _ = strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			return nil, "", err
		}
		for up := filepath.Dir(dir); strings.HasPrefix(filepath.Base(up), "eyrie-bench-"); up = filepath.Dir(up) {
			if err := os.Chmod(up, 0o711); err != nil { // a folder of ours, to be passed through
				return nil, "", err
			}
		}
	}
	data := filepath.Join(dir, "data")
	init := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", name, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	init.Dir = dir
	startAs(init, uid, gid)
	if out, err := init.CombinedOutput(); err != nil {
		return nil, "", fmt.Errorf("initdb: %w: %s", err, strings.TrimSpace(string(out)))
	}
	args := []string{"-D", data, "-k", dir, "-h", ""}
	for _, s := range PostgresSettings {
		args = append(args, "-c", s)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, "", err
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(bin, "postgres"), args...)
	cmd.Dir, cmd.Stderr, cmd.Stdout = dir, log, log
	startAs(cmd, uid, gid)
	if err := child.Launch(cmd); err != nil {
		return nil, "", err
	}
	g := &Postgres{cmd: cmd, sock: filepath.Join(dir, ".s.PGSQL.5432")}
	c, err := g.dial(20 * time.Second)
	if err == nil {
		defer c.close()
		hour := time.Now().Truncate(time.Hour)
		ddl := postgresTables
		for _, t := range []string{"bare", "events"} {
			for i := range 12 {
				from := hour.Add(time.Duration(i-1) * time.Hour).UTC()
				ddl += fmt.Sprintf("CREATE TABLE %s_%d PARTITION OF %s FOR VALUES FROM ('%s') TO ('%s');\n", t, i, t, from.Format(time.RFC3339), from.Add(time.Hour).Format(time.RFC3339))
			}
		}
		err = c.query(ddl)
	}
	if err != nil {
		said, _ := os.ReadFile(log.Name())
		g.Close()
		return nil, "", fmt.Errorf("%w: %s", err, strings.TrimSpace(string(said)))
	}
	version, err := exec.Command(filepath.Join(bin, "postgres"), "--version").Output()
	return g, strings.TrimSpace(string(version)), err
}

// postgresBin finds the server's programs: where Debian has them, or in PATH.
func postgresBin() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) > 0 {
		slices.Sort(found)
		return filepath.Dir(found[len(found)-1]), nil
	}
	exe, err := exec.LookPath("initdb")
	return filepath.Dir(exe), err
}

// Table returns a peer that loads one of the tables.
func (g *Postgres) Table(name string) (*Server, error) {
	s := &Server{cmd: g.cmd, stop: func(*exec.Cmd) {}}
	for range CopyConnections {
		c, err := g.dial(5 * time.Second)
		if err != nil {
			s.Close()
			return nil, err
		}
		c.copy = "COPY " + name + " FROM STDIN (FORMAT binary)"
		s.links = append(s.links, c)
	}
	return s, nil
}

// Close stops the server.
func (g *Postgres) Close() {
	_ = g.cmd.Process.Signal(syscall.SIGQUIT) // at once; what it holds is thrown away
	_ = g.cmd.Wait()
}

// postgresLink speaks PostgreSQL's protocol 3.0, as far as COPY needs it.
type postgresLink struct {
	c    net.Conn
	r    *bufio.Reader
	b    []byte
	copy string
}

func (g *Postgres) dial(within time.Duration) (*postgresLink, error) {
	end := time.Now().Add(within)
	for {
		c, err := dialUntil(g.sock, time.Until(end))
		if err != nil {
			return nil, err
		}
		l := &postgresLink{c: c, r: bufio.NewReaderSize(c, 16<<10)}
		b := binary.BigEndian.AppendUint32(make([]byte, 4), 3<<16)
		b = append(b, "user\x00bench\x00database\x00postgres\x00\x00"...)
		binary.BigEndian.PutUint32(b, uint32(len(b)))
		if _, err = c.Write(b); err == nil {
			if err = l.until('Z'); err == nil {
				return l, nil
			}
		}
		c.Close()
		if time.Now().After(end) {
			return nil, err
		}
		time.Sleep(20 * time.Millisecond) // it is starting up
	}
}

func (l *postgresLink) close() { l.c.Close() }

// until reads messages up to one of the kind.
func (l *postgresLink) until(kind byte) error {
	var failed error
	for {
		var h [5]byte
		if _, err := io.ReadFull(l.r, h[:]); err != nil {
			return errors.Join(failed, err)
		}
		body := make([]byte, max(int(binary.BigEndian.Uint32(h[1:]))-4, 0))
		if _, err := io.ReadFull(l.r, body); err != nil {
			return errors.Join(failed, err)
		}
		if h[0] == 'E' && failed == nil {
			failed = fmt.Errorf("postgres: %s", strings.ReplaceAll(string(body), "\x00", " "))
		}
		if h[0] == kind || failed != nil && h[0] == 'Z' {
			return failed
		}
	}
}

func appendMessage(b []byte, kind byte, body string) []byte {
	b = binary.BigEndian.AppendUint32(append(b, kind), uint32(len(body)+4))
	return append(b, body...)
}

func (l *postgresLink) query(q string) error {
	if _, err := l.c.Write(appendMessage(nil, 'Q', q+"\x00")); err != nil {
		return err
	}
	return l.until('Z')
}

// copyHead begins COPY's binary format, copyTail ends it.
const (
	copyHead = "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	copyTail = "\xff\xff"
)

func (l *postgresLink) run(p *Pool, next func() (int, bool)) (events int, err error) {
	var items [FrameEvents]Item
	for more := true; more; {
		n := 0
		for n < CopyFrames {
			var frame int
			if frame, more = next(); !more {
				break
			}
			if n == 0 {
				if _, err := l.c.Write(appendMessage(nil, 'Q', l.copy+"\x00")); err != nil {
					return events, err
				}
				if err := l.until('G'); err != nil {
					return events, err
				}
				l.b = appendMessage(l.b[:0], 'd', copyHead)
			}
			p.Frame(frame, &items)
			l.rows(items[:], frame)
			if _, err := l.c.Write(l.b); err != nil {
				return events, err
			}
			l.b = l.b[:0]
			n++
		}
		if n == 0 {
			break
		}
		if _, err := l.c.Write(appendMessage(appendMessage(l.b[:0], 'd', copyTail), 'c', "")); err != nil {
			return events, err
		}
		if err := l.until('Z'); err != nil {
			return events, err
		}
		events += n * FrameEvents
	}
	return events, nil
}

// postgresEpoch is 2000-01-01 in Unix µs.
const postgresEpoch = 946_684_800_000_000

// rows appends a frame's events as one message of COPY.
func (l *postgresLink) rows(items []Item, frame int) {
	be := binary.BigEndian
	at := len(l.b)
	b := append(l.b, 'd', 0, 0, 0, 0)
	now := uint64(time.Now().UnixMicro() - postgresEpoch)
	seq := uint64(frame/Connections) * FrameEvents
	for i := range items {
		it := &items[i]
		b = be.AppendUint64(be.AppendUint32(be.AppendUint16(b, 8), 8), now)
		b = be.AppendUint32(be.AppendUint32(b, 4), it.Num)
		b = be.AppendUint32(be.AppendUint32(b, 4), uint32(frame%Connections))
		b = be.AppendUint64(be.AppendUint32(b, 8), seq+uint64(i))
		b = be.AppendUint16(be.AppendUint32(b, 2), uint16(it.Class))
		b = be.AppendUint16(be.AppendUint32(b, 2), uint16(it.Flags))
		b = be.AppendUint32(be.AppendUint32(b, 4), it.Key)
		b = append(be.AppendUint32(b, uint32(len(it.Payload))), it.Payload...)
	}
	be.PutUint32(b[at+1:], uint32(len(b)-at-1))
	l.b = b
}
