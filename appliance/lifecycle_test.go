//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eyrie/engine/wire"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// loader sends frames over one link as fast as its window allows and keeps the
// books on what was acknowledged.
type loader struct {
	agent string
	conn  net.Conn
	sent  atomic.Uint64
	acked atomic.Uint64
	code  ws.StatusCode // of the server's close
	err   error         // what ended the reader otherwise
	done  chan struct{}
}

const (
	loaderFrame  = 50 // events
	loaderWindow = 40 // frames
)

func startLoader(t *testing.T, p *process, i byte) *loader {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(p.data, "keys", "agent"))
	if err != nil {
		t.Fatal(err)
	}
	d := ws.Dialer{
		Protocols: []string{wire.SubprotocolMsgPack},
		Header:    ws.HandshakeHeaderHTTP{"Authorization": {"Bearer " + strings.TrimSpace(string(key))}},
	}
	conn, br, _, err := d.Dial(context.Background(), "ws://"+p.ingest+"/v1/agent")
	if err != nil {
		t.Fatal(err)
	}
	if br != nil {
		t.Fatal("the server spoke first")
	}
	l := &loader{agent: fmt.Sprintf("load-%d", i), conn: conn, done: make(chan struct{})}
	t.Cleanup(func() { conn.Close(); <-l.done })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	hello := wire.AppendHello(nil, wire.MsgPack, &wire.HelloOut{Producer: [16]byte{i}, Epoch: 1, First: 1, Agent: &wire.Event{Agent: l.agent}})
	if err := wsutil.WriteClientBinary(conn, hello); err != nil {
		t.Fatal(err)
	}
	go l.read()
	return l
}

func (l *loader) read() {
	defer close(l.done)
	for {
		p, err := wsutil.ReadServerBinary(l.conn)
		var closed wsutil.ClosedError
		switch {
		case errors.As(err, &closed):
			l.code = closed.Code
			return
		case err != nil:
			l.err = err
			return
		}
		var m wire.ServerMessage
		if l.err = wire.ParseServer(wire.MsgPack, p, &m); l.err != nil {
			return
		}
		switch m.Op {
		case wire.OpAck:
			l.acked.Store(m.Seq)
		case wire.OpNack:
			l.err = fmt.Errorf("nack %s %s %s", m.Code, m.Field, m.Msg)
			return
		}
	}
}

// write sends until the link ends.
func (l *loader) write() {
	var payloads [][]byte
	for seq := uint64(1); ; seq += loaderFrame {
		for seq > l.acked.Load()+loaderWindow*loaderFrame {
			select {
			case <-l.done:
				return
			case <-time.After(100 * time.Microsecond):
			}
		}
		payloads = payloads[:0]
		for i := range uint64(loaderFrame) {
			e := wire.Event{Type: wire.TypeMessage, Msg: fmt.Sprintf("%s %d", l.agent, seq+i)}
			payloads = append(payloads, e.AppendMsgpack(nil))
		}
		if wsutil.WriteClientBinary(l.conn, wire.AppendEvents(nil, wire.MsgPack, seq, nil, payloads...)) != nil {
			return
		}
		l.sent.Store(seq + loaderFrame - 1)
	}
}

// SIGTERM under load: everything acknowledged is there after the next start,
// once and in order, every link is told 1001, and it takes less than 5 s.
func TestTermDrains(t *testing.T) {
	data := t.TempDir()
	p := serve(t, data)
	ls := make([]*loader, 4)
	var writers sync.WaitGroup
	for i := range ls {
		ls[i] = startLoader(t, p, byte(i+1))
		writers.Go(ls[i].write)
	}
	for _, l := range ls {
		for deadline := time.Now().Add(15 * time.Second); l.acked.Load() < 2000; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d of %d acknowledged\n%s", l.agent, l.acked.Load(), l.sent.Load(), p)
			}
		}
	}
	code, took := p.terminate()
	if code != 0 || took > 5*time.Second {
		t.Errorf("exit code %d after %v, want 0 in under 5 s\n%s", code, took, p)
	}
	for _, l := range ls {
		select {
		case <-l.done:
		case <-time.After(5 * time.Second):
			t.Fatalf("%s: its link never ended", l.agent)
		}
		if l.code != ws.StatusGoingAway {
			t.Errorf("%s: its link ended with %d (%v), want 1001", l.agent, l.code, l.err)
		}
	}
	writers.Wait()

	p = serve(t, data)
	next := map[string]uint64{}
	for _, e := range p.events() {
		if next[e.Agent]++; e.Seq != next[e.Agent] || e.Msg != fmt.Sprintf("%s %d", e.Agent, e.Seq) {
			t.Fatalf("offset %d is number %d of %s (%q), want %d", e.Offset, e.Seq, e.Agent, e.Msg, next[e.Agent])
		}
	}
	for _, l := range ls {
		if stored := next[l.agent]; stored < l.acked.Load() || stored > l.sent.Load()+loaderFrame {
			t.Errorf("%s: %d stored, %d acknowledged, %d sent", l.agent, stored, l.acked.Load(), l.sent.Load())
		}
		if l.acked.Load()%loaderFrame != 0 {
			t.Errorf("%s: %d acknowledged: a part of a frame", l.agent, l.acked.Load())
		}
	}
	// The fleet, after catching up, counts the same.
	for _, l := range ls {
		var a struct{ Counts struct{ Events uint64 } }
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if code := p.get("/v1/agents/main/"+l.agent, &a); code == 200 && a.Counts.Events == next[l.agent] {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: the fleet counts %d events, the log holds %d", l.agent, a.Counts.Events, next[l.agent])
			}
		}
	}
	if code, took := p.terminate(); code != 0 || took > 5*time.Second {
		t.Errorf("idle: exit code %d after %v", code, took)
	}
}

// A request that is under way when SIGTERM comes does not hold the end up.
func TestTermWithReadersWaiting(t *testing.T) {
	p := serve(t, t.TempDir())
	c, err := net.Dial("tcp", p.web)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /v1/live/sse HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", p.key)
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.ReadAtLeast(c, make([]byte, 16), 16); err != nil {
		t.Fatal(err)
	}
	idle, err := net.Dial("tcp", p.web) // a connection that has not asked yet
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	if code, took := p.terminate(); code != 0 || took > 5*time.Second {
		t.Errorf("exit code %d after %v, want 0 in under 5 s\n%s", code, took, p)
	}
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Error("the stream was cut, not ended: ", err)
	}
}

func TestFolderInUse(t *testing.T) {
	t.Parallel()
	p := serve(t, t.TempDir())
	runEyrie(t, "serve", "--data", p.data, "--ingest", "127.0.0.1:0", "--web", "127.0.0.1:0").
		want(t, 3, p.data, "in use", "--data")
	if r := p.client("send", "--msg", "still here"); r.code != 0 {
		t.Errorf("the first one suffered: %+v", r)
	}
}

// rewriteMark makes the log's mark that of a newer release.
func rewriteMark(t *testing.T, data string) {
	t.Helper()
	name := filepath.Join(data, "log", "mark")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	for at := 0; at+60 <= len(b); at += 4096 {
		slot := b[at : at+60]
		if string(slot[:4]) != "eyrM" {
			continue
		}
		binary.LittleEndian.PutUint32(slot[4:], 99)
		binary.LittleEndian.PutUint32(slot[56:], crc32.Checksum(slot[:56], crc32.MakeTable(crc32.Castagnoli)))
		changed++
	}
	if changed == 0 {
		t.Fatal("the mark has no slot this test knows; has its format changed?")
	}
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// rewriteStoreFormat makes the log's store that of a newer release.
func rewriteStoreFormat(t *testing.T, data string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(data, "log", "store", "marker.format-version.*"))
	if err != nil || len(all) == 0 {
		t.Fatalf("no format marker: %v", err)
	}
	old := all[len(all)-1]
	if err := os.Rename(old, old[:strings.LastIndexByte(old, '.')]+".999"); err != nil {
		t.Fatal(err)
	}
}

// contents is every file below dir with its bytes, but for empty locks.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "LOCK" {
			return err
		}
		b, err := os.ReadFile(p)
		all[p] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestNewerFormat(t *testing.T) {
	longOnly(t)
	t.Parallel()
	for name, raise := range map[string]func(*testing.T, string){"mark": rewriteMark, "store": rewriteStoreFormat} {
		t.Run(name, func(t *testing.T) {
			p := serve(t, t.TempDir())
			if code, _ := p.terminate(); code != 0 {
				t.Fatalf("exit code %d", code)
			}
			raise(t, p.data)
			before := contents(t, p.data)
			runEyrie(t, "serve", "--data", p.data, "--ingest", "127.0.0.1:0", "--web", "127.0.0.1:0").
				want(t, 3, p.data, "newer", name+" format")
			after := contents(t, p.data)
			for f, b := range before {
				if after[f] != b {
					t.Errorf("%s was changed", f)
				}
			}
			if len(after) != len(before) {
				t.Errorf("%d files, %d before", len(after), len(before))
			}
		})
	}
}

func TestTakenPort(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	p := serve(t, t.TempDir(), "--web", addr)
	if !strings.Contains(p.greeting, "web cannot listen on "+addr) || p.web != "" {
		t.Errorf("the greeting does not name the taken port:\n%s", p.greeting)
	}
	p.client("send", "--msg", "over the other port").want(t, 0, "stored 1")
	var ready struct {
		Ready   bool
		Reasons []string
	}
	if code := p.get("/ready", &ready); code != 503 || ready.Ready || len(ready.Reasons) != 1 || !strings.Contains(ready.Reasons[0], addr) {
		t.Errorf("/ready answers %d %+v", code, ready)
	}
	// Another eyrie's port is taken as well, although it could be shared.
	r := runEyrie(t, "serve", "--data", t.TempDir(), "--ingest", p.ingest, "--web", addr)
	r.want(t, exitFailed, "ingest cannot listen on "+p.ingest, "web cannot listen on "+addr)
	if code, _ := p.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if !strings.Contains(p.stderr.String(), "addr="+addr) {
		t.Errorf("the log does not name the taken port:\n%s", p.stderr)
	}
}

// A log that lost what it acknowledged is refused, by name, and taken up again
// only when told so.
func TestLossIsNamed(t *testing.T) {
	longOnly(t)
	t.Parallel()
	data := t.TempDir()
	p := serve(t, data)
	p.client("send", "--msg", "one").want(t, 0)
	if code, _ := p.terminate(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	old := t.TempDir()
	if err := os.CopyFS(filepath.Join(old, "store"), os.DirFS(filepath.Join(data, "log", "store"))); err != nil {
		t.Fatal(err)
	}
	p = serve(t, data)
	p.client("send", "--msg", "two").want(t, 0)
	if code, _ := p.terminate(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	// The store of before comes back, as from a careless copy; the mark knows.
	store := filepath.Join(data, "log", "store")
	if err := os.RemoveAll(store); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(old, "store"), store); err != nil {
		t.Fatal(err)
	}
	runEyrie(t, "serve", "--data", data, "--ingest", "127.0.0.1:0", "--web", "127.0.0.1:0").
		want(t, 3, data, "lost acknowledged", "offsets", "--accept-loss")
	p = serve(t, data, "--accept-loss")
	var got []string
	for _, e := range p.events() {
		got = append(got, e.Msg)
	}
	if fmt.Sprint(got) != "[one]" {
		t.Errorf("left are %q, want one", got)
	}
	var page struct{ Items []map[string]any }
	p.get("/v1/events?system=1&limit=1000", &page)
	holes := 0
	for _, e := range page.Items {
		if e["kind"] == "hole" {
			holes++
		}
	}
	if holes == 0 {
		t.Error("no record tells of the loss")
	}
}
