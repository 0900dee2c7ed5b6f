package blob

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"pgregory.net/rapid"

	"eyrie/wal"
)

func open(t testing.TB, o Options) *Store {
	t.Helper()
	if o.Dir == "" {
		o.Dir = "data/blobs"
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func put(t testing.TB, s *Store, space, content string) Key {
	t.Helper()
	k, err := s.Put(space, "text/plain", []byte(content))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func files(t testing.TB, s *Store) (names []string, bytes int64) {
	t.Helper()
	if err := s.Walk(func(f Found) error {
		names = append(names, f.Name)
		bytes += f.Size
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return names, bytes
}

func TestPutAndGet(t *testing.T) {
	s := open(t, Options{FS: vfs.NewMem()})
	rng := rand.NewChaCha8([32]byte{1})
	noise := make([]byte, 1<<20)
	rng.Read(noise)
	for name, content := range map[string][]byte{"empty": nil, "short": []byte("x"), "text": bytes.Repeat([]byte("line of a log\n"), 1e5), "noise": noise, "largest": make([]byte, SizeMax)} {
		k, err := s.Put("main", "a/"+name, content)
		if err != nil {
			t.Fatal(name, err)
		}
		b, err := s.Get(k)
		if err != nil || !bytes.Equal(b.Content, content) || b.Kind != "a/"+name || b.Key != k || b.Size != int64(len(content)) {
			t.Fatalf("%s: got another blob, %v", name, err)
		}
		if b, err = s.Stat(k); err != nil || b.Size != int64(len(content)) || b.Kind != "a/"+name || b.Content != nil {
			t.Fatalf("%s: got another blob, %v", name, err)
		}
		if b, err = s.GetFile(k.Name()); err != nil || b.Key != k {
			t.Fatalf("%s: got another blob, %v", name, err)
		}
		if ok, err := s.Use(k); !ok || err != nil {
			t.Fatal(name, ok, err)
		}
		for _, space := range []string{"other", ""} {
			o := Key{Space: space, Sum: k.Sum}
			if _, err := s.Get(o); !errors.Is(err, ErrNotFound) {
				t.Fatalf("%s: another space got %v", name, err)
			}
			if ok, err := s.Use(o); ok || err != nil {
				t.Fatalf("%s: another space uses it: %v %v", name, ok, err)
			}
		}
	}
	if _, err := s.Put("main", "", make([]byte, SizeMax+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	if _, err := s.Put(strings.Repeat("s", 256), "", nil); !errors.Is(err, ErrSpace) {
		t.Errorf("got %v", err)
	}
	names, n := files(t, s)
	if got, err := s.Bytes(); err != nil || got != n || len(names) != 5 {
		t.Errorf("%d files, %d bytes counted, %d are there: %v", len(names), got, n, err)
	}
	if n > 2<<20 {
		t.Errorf("%d bytes on disk: text is not compressed", n)
	}
}

// counting counts operations that write.
type counting struct{ n atomic.Int64 }

func (c *counting) String() string { return "count" }

func (c *counting) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
		c.n.Add(1)
	}
	return nil
}

// What is there costs no write, however often and at once it is put.
func TestStoredOnce(t *testing.T) {
	var c counting
	s := open(t, Options{FS: errorfs.Wrap(vfs.NewMem(), &c)})
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() { put(t, s, "main", "the same") })
	}
	wg.Wait()
	if names, _ := files(t, s); len(names) != 1 {
		t.Fatalf("files: %v", names)
	}
	put(t, s, "main", "the same")
	was := c.n.Load()
	k := put(t, s, "main", "the same")
	if n := c.n.Load(); n != was {
		t.Errorf("%d writes for what was there", n-was)
	}
	if b, err := s.Get(k); err != nil || b.Kind != "text/plain" {
		t.Errorf("got %+v %v", b, err)
	}
}

func TestDisk(t *testing.T) {
	mem := vfs.NewMem()
	free := uint64(100)
	s := open(t, Options{FS: mem, DiskMin: 50, DiskFree: func(string) (uint64, error) { return free, nil }})
	if _, err := s.Put("main", "", make([]byte, 51)); !errors.Is(err, wal.ErrDiskFull) {
		t.Errorf("got %v", err)
	}
	free = 1 << 40
	k := put(t, s, "main", "fits")
	free = 0
	put(t, s, "main", "fits") // needs no room
	if ok, err := s.Use(k); !ok || err != nil {
		t.Error(ok, err)
	}
	full := open(t, Options{FS: errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileWrite {
			return &os.PathError{Op: "write", Err: syscall.ENOSPC}
		}
		return nil
	}))})
	if _, err := full.Put("main", "", []byte("x")); !errors.Is(err, wal.ErrDiskFull) {
		t.Errorf("got %v", err)
	}
	if names, err := full.o.FS.List("data/blobs/new"); err != nil || len(names) != 0 {
		t.Errorf("left: %v %v", names, err)
	}
}

// Any one operation may fail: Put says so, and afterwards all is as before.
func TestEveryOperationFailsOnce(t *testing.T) {
	for k := int64(0); ; k++ {
		var n atomic.Int64
		hit, armed := false, false
		s := open(t, Options{FS: errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
			if armed && n.Add(1)-1 == k {
				hit = true
				return errors.New("injected")
			}
			return nil
		}))})
		armed = true
		a, errA := s.Put("main", "", []byte("a"))
		b, errB := s.Put("main", "", []byte("a"))
		if errA != nil && errB != nil {
			t.Fatalf("operation %d: two errors: %v, %v", k, errA, errB)
		}
		armed = false
		if _, err := s.Get(b); err != nil || a != b {
			t.Fatalf("operation %d: %v", k, err)
		}
		names, size := files(t, s)
		if got, err := s.Bytes(); err != nil || got != size || len(names) != 1 {
			t.Fatalf("operation %d: %d files, %d bytes, counted %d, %v", k, len(names), size, got, err)
		}
		if !hit {
			if k < 10 {
				t.Fatalf("only %d operations", k)
			}
			return
		}
	}
}

// Each flipped bit of a file is told, and the next Put heals it.
func TestFlips(t *testing.T) {
	mem := vfs.NewMem()
	s := open(t, Options{FS: mem})
	for _, content := range []string{"short", strings.Repeat("long ", 1000)} {
		k := put(t, s, "main", content)
		name := s.file(k)
		f, err := mem.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := readAll(f, 1<<30)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		stride := 1
		if testing.Short() {
			stride = 13
		}
		for bit := 0; bit < 8*len(whole); bit += stride {
			p := bytes.Clone(whole)
			p[bit/8] ^= 1 << (bit % 8)
			if err := s.write(name, p); err != nil {
				t.Fatal(err)
			}
			if b, err := s.Get(k); err == nil {
				// Bits of zstd that mean nothing may flip: the content is right all the same.
				if string(b.Content) != content || b.Kind != "text/plain" {
					t.Fatalf("bit %d: silent", bit)
				}
			} else if !errors.Is(err, ErrDamaged) && bit/8 != 4 { // a version to come
				t.Fatalf("bit %d: %v", bit, err)
			}
		}
		for n := range len(whole) {
			if err := s.write(name, bytes.Clone(whole[:n])); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Get(k); !errors.Is(err, ErrDamaged) {
				t.Fatalf("%d bytes: %v", n, err)
			}
		}
		put(t, s, "main", content)
		if b, err := s.Get(k); err != nil || string(b.Content) != content {
			t.Fatalf("not healed: %v", err)
		}
	}
}

var update = flag.Bool("update", false, "write the golden file anew")

func TestGolden(t *testing.T) {
	s := open(t, Options{FS: vfs.NewMem()})
	for i, content := range []string{"content", strings.Repeat("0123456789abcdef", 64)} {
		k := put(t, s, "main", content)
		f, err := s.o.FS.Open(s.file(k))
		if err != nil {
			t.Fatal(err)
		}
		got, err := readAll(f, 1<<30)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join("testdata", fmt.Sprintf("v1-%d.blob", i+1))
		if *update {
			if err := os.WriteFile(name, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var h, w header
		at, err := w.decode(want)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := s.content(&w, want[at:]); err != nil || string(b.Content) != content {
			t.Errorf("%s does not read: %v", name, err)
		}
		if _, err := h.decode(got); err != nil || h.codec != w.codec || !bytes.Equal(got[:fixed-40], want[:fixed-40]) && h.codec == codecRaw {
			t.Errorf("the format has changed: go test ./wal/blob -update writes %s anew, with a new version", name)
		}
	}
}

// TestModel compares the store with a map, over openings, drops and pins.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mem := vfs.NewMem()
		shift := time.Duration(0)
		now := func() time.Time { return time.Now().Add(shift) }
		var s *Store
		reopen := func() {
			var err error
			if s != nil {
				s.Close()
			}
			if s, err = Open(Options{FS: mem, Dir: "d/blobs", Now: now, Grace: time.Hour}); err != nil {
				t.Fatal(err)
			}
		}
		reopen()
		defer func() { s.Close() }()
		type state struct {
			content string
			made    time.Duration // shift
			used    time.Duration
		}
		want := map[Key]*state{}
		var unpins []func()
		key := func(t *rapid.T) (Key, string) {
			content := strings.Repeat(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "content"), rapid.SampledFrom([]int{1, 3000}).Draw(t, "times"))
			return Key{Space: rapid.SampledFrom([]string{"main", "other"}).Draw(t, "space"), Sum: sha256.Sum256([]byte(content))}, content
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				k, content := key(t)
				got, err := s.Put(k.Space, "k", []byte(content))
				if err != nil || got != k {
					t.Fatal(got, err)
				}
				if w := want[k]; w != nil {
					w.used = shift
				} else {
					want[k] = &state{content, 0, shift} // the file's time is the machine's
				}
			},
			"use": func(t *rapid.T) {
				k, _ := key(t)
				ok, err := s.Use(k)
				if err != nil || ok != (want[k] != nil) {
					t.Fatal(k, ok, err)
				}
				if ok {
					want[k].used = shift
				}
			},
			"drop": func(t *rapid.T) {
				k, _ := key(t)
				gone, err := s.Drop(k)
				if err != nil {
					t.Fatal(err)
				}
				w := want[k]
				should := w == nil || len(unpins) == 0 && shift-w.made >= time.Hour && shift-w.used >= time.Hour
				if len(unpins) > 0 {
					should = false
				}
				if gone != should {
					t.Fatalf("%s is gone: %v; shift %v, %+v, %d pins", k, gone, shift, w, len(unpins))
				}
				if gone {
					delete(want, k)
				}
			},
			"forget": func(t *rapid.T) {
				k, _ := key(t)
				gone, err := s.Forget(k)
				w := want[k]
				if err != nil || gone != (len(unpins) == 0 && (w == nil || shift-w.used >= time.Minute)) {
					t.Fatal(gone, err)
				}
				if gone {
					delete(want, k)
				}
			},
			"time":  func(t *rapid.T) { shift += 20 * time.Minute; s.Expire() },
			"pin":   func(t *rapid.T) { unpins = append(unpins, s.Pin()) },
			"unpin": func(t *rapid.T) { unpin(&unpins) },
			"reopen": func(t *rapid.T) {
				reopen()
				unpins = nil
				forgetUses(want, func(w *state) { w.used = -time.Hour * 24 * 365 })
			},
			"": func(t *rapid.T) {
				for k, w := range want {
					if b, err := s.Get(k); err != nil || string(b.Content) != w.content {
						t.Fatal(k, err)
					}
				}
				n, size := 0, int64(0)
				if err := s.Walk(func(f Found) error { n, size = n+1, size+f.Size; return nil }); err != nil || n != len(want) {
					t.Fatalf("%d files, want %d: %v", n, len(want), err)
				}
				if got, err := s.Bytes(); err != nil || got != size {
					t.Fatalf("%d bytes, counted %d: %v", size, got, err)
				}
			},
		})
	})
}

func unpin(us *[]func()) {
	if n := len(*us); n > 0 {
		(*us)[n-1]()
		(*us)[n-1]() // twice is once
		*us = (*us)[:n-1]
	}
}

func forgetUses[K comparable, S any](m map[K]*S, fn func(*S)) {
	for _, s := range m {
		fn(s)
	}
}

// A name that is not durable yet counts as none.
func TestUseWaitsForTheName(t *testing.T) {
	k := Key{Space: "main", Sum: sha256.Sum256([]byte("x"))}
	var s *Store
	asked := 0
	s = open(t, Options{FS: errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if s != nil && strings.HasSuffix(op.Path, filepath.Dir(k.Name())) && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			if _, err := s.Stat(k); err == nil { // renamed, about to be synced
				if ok, err := s.Use(k); ok || err != nil {
					t.Errorf("it is used: %v, %v", ok, err)
				}
				asked++
			}
		}
		return nil
	}))})
	put(t, s, "main", "x")
	if ok, err := s.Use(k); !ok || err != nil || asked == 0 {
		t.Errorf("afterwards: %v, %v, asked %d times before", ok, err, asked)
	}
}
