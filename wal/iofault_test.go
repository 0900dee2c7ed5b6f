package wal

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// oneFault fails the operation with number at, or writes the half of it.
type oneFault struct {
	at    int64
	err   error
	short bool

	n    atomic.Int64
	mute atomic.Bool // the half of this write is to be made
}

func (f *oneFault) String() string { return "one fault" }

func (f *oneFault) MaybeError(op errorfs.Op) error {
	if f.short && op.Kind != errorfs.OpFileWrite && op.Kind != errorfs.OpFileWriteAt {
		return nil
	}
	if f.n.Add(1) != f.at {
		return nil
	}
	fmt.Printf("failed %v of %s\n", op.Kind, filepath.Base(op.Path))
	if f.short {
		f.mute.Store(true)
		return nil
	}
	return f.err
}

// halves makes short writes where its fault says so.
type halves struct {
	vfs.FS
	f *oneFault
}

type halfFile struct {
	vfs.File
	f *oneFault
}

func (h halves) wrap(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return halfFile{f, h.f}, nil
}

func (h halves) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return h.wrap(h.FS.Create(name, c))
}

func (h halves) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return h.wrap(h.FS.OpenReadWrite(name, c, o...))
}

func (h halves) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return h.wrap(h.FS.ReuseForWrite(old, name, c))
}

func (h halfFile) Write(p []byte) (int, error) {
	if h.f.mute.Swap(false) {
		n, err := h.File.Write(p[:len(p)/2])
		return n, errors.Join(err, h.f.err)
	}
	return h.File.Write(p)
}

func (h halfFile) WriteAt(p []byte, off int64) (int, error) {
	if h.f.mute.Swap(false) {
		n, err := h.File.WriteAt(p[:len(p)/2], off)
		return n, errors.Join(err, h.f.err)
	}
	return h.File.WriteAt(p, off)
}

// faultRun is one life of a log that writes, seals, drops, closes and opens again.
type faultRun struct {
	o     Options
	acked atomic.Uint64
}

func newFaultRun(fs vfs.FS, dir string) *faultRun {
	r := &faultRun{}
	r.o = small(fs)
	r.o.Dir = dir
	r.o.MemtableBytes, r.o.CheckpointBytes, r.o.CacheBytes, r.o.GroupBytes = 16<<10, 8<<10, 8<<10, 8<<10
	r.o.Seal = SealOptions{Off: true, Bytes: 24 << 10}
	r.o.keptHot = 48 << 10
	r.o.Retain.Bytes = 30 << 10
	r.o.faults = &faults{closeWait: 50 * time.Millisecond}
	r.o.Committed = func(_ any, _, last uint64, err error) {
		if err == nil {
			fmt.Printf("acked %d\n", last)
			r.acked.Store(last)
		}
	}
	return r
}

// body is what the event with this number says.
func (r *faultRun) body(seq uint64) []byte {
	rng := rand.New(rand.NewPCG(seq, 1))
	b := make([]byte, 0, 400)
	for len(b) < cap(b) {
		b = binary.LittleEndian.AppendUint64(b, rng.Uint64())
	}
	return b
}

// live goes through a life; any error is loud.
func (r *faultRun) live() error {
	l, err := Open(r.o)
	if err != nil {
		return err
	}
	work := func() error {
		w := l.Writer()
		p, wel, err := w.Fence(key(1), 1+uint64(l.Next()), 0)
		if err != nil {
			return err
		}
		seq := wel.Next
		for range 40 {
			for range 10 {
				switch v := w.Append(p, seq, 0, 0, uint32(seq%5), 1, 1, r.body(seq)); v {
				case Stored:
					seq++
				case Refuse:
					if err := w.Wall(); err != nil {
						return err // the disk was full, or the log has failed: the sender holds it
					}
				default:
					return fmt.Errorf("append: %v", v)
				}
			}
			next := w.Next()
			for !w.Commit(nil) {
				if err := l.Err(); err != nil {
					return err // the commit before does not end
				}
				time.Sleep(10 * time.Microsecond)
			}
			for r.acked.Load()+1 < next {
				if err := l.Err(); err != nil {
					return err
				}
				time.Sleep(10 * time.Microsecond)
			}
		}
		if err := l.Seal(context.Background()); err != nil {
			return err
		}
		if _, err := l.Retain(context.Background()); err != nil {
			return err
		}
		_, _, err = l.Find(context.Background(), Query{Limit: 1000})
		return err
	}
	return errors.Join(work(), l.Close())
}

// check opens the log on a disk that is well again: everything acknowledged must
// be there, or have been dropped.
func (r *faultRun) check(acked uint64) error {
	o := r.o
	o.Committed = nil
	l, err := Open(o)
	if err != nil {
		return fmt.Errorf("it does not open again: %w", err)
	}
	defer l.Close()
	if l.Next() <= acked {
		return fmt.Errorf("%d were acknowledged, the log ends at %d", acked, l.Next())
	}
	dropped := uint64(1) // below it retention may have taken things
	for _, s := range l.Stretches() {
		if s.Dropped != 0 {
			dropped = s.Next
		}
	}
	dropped = max(dropped, l.First())
	have := map[uint64]bool{}
	for f := l.Follow(1); f.Offset() < l.Next(); {
		b, err := f.Next(context.Background())
		if err != nil {
			return err
		}
		for i := range b.Len() {
			rec := b.Record(i)
			have[rec.Offset] = true
			if rec.Kind == KindEvent && !bytes.Equal(r.body(rec.Seq), rec.Payload) {
				return fmt.Errorf("offset %d has other content", rec.Offset)
			}
		}
	}
	for off := dropped; off <= acked; off++ {
		if !have[off] {
			return fmt.Errorf("offset %d was acknowledged and is gone", off)
		}
	}
	return nil
}

// TestEveryOperationFailsOnce fails each operation of a life in turn, with an
// I/O error, a full disk, and a write cut short, each in a process of its own:
// the store ends the process for some. What was acknowledged is kept.
// EYRIE_IOFAULTS=1 takes every operation, otherwise it is one in 40.
func TestEveryOperationFailsOnce(t *testing.T) {
	step := int64(40)
	if os.Getenv("EYRIE_IOFAULTS") != "" {
		step = 1
	}
	if testing.Short() {
		step *= 5 // the detector of races makes each process slow
	}
	root := "/dev/shm" // in memory, where there is such a place: syncs take most of the time
	if _, err := os.Stat(root); err != nil {
		root = ""
	}
	for name, fault := range ioFaults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			trials, loud, died := 0, 0, 0
			for at := 1 + rand.Int64N(step); ; at += step {
				dir, err := os.MkdirTemp(root, "eyrie-fault-")
				if err != nil {
					t.Fatal(err)
				}
				r := newFaultRun(vfs.Default, dir)
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				cmd := exec.CommandContext(ctx, os.Args[0], "-test.run", "^TestFaultChild$")
				cmd.Env = append(os.Environ(), fmt.Sprintf("EYRIE_FAULT=%s|%d|%s", name, at, r.o.Dir))
				var out, errs bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &errs
				err = cmd.Run()
				acked, hit, said := r.told(out.String())
				if hit == "" {
					if e := os.RemoveAll(dir); e != nil {
						t.Error(e)
					}
					if err != nil || said != "" {
						t.Errorf("nothing failed, and yet: %v %s\n%s", err, said, errs.String())
					}
					break
				}
				trials++
				switch {
				case ctx.Err() != nil:
					t.Errorf("operation %d, %s, %v: it neither goes on nor ends", at, hit, fault.err)
				case err != nil:
					died++
				case said != "":
					loud++
				}
				cmd = exec.CommandContext(ctx, os.Args[0], "-test.run", "^TestFaultChild$")
				cmd.Env = append(os.Environ(), fmt.Sprintf("EYRIE_FAULT=check|%d|%s", acked, r.o.Dir))
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("operation %d, %s, %v %s: %v", at, hit, fault.err, said, string(out[:min(len(out), 2000)]))
				}
				if err := os.RemoveAll(r.o.Dir); err != nil {
					t.Error(err)
				}
			}
			t.Logf("%d operations failed in turn: %d times the log failed aloud, %d times the process ended, %d times it got over it", trials, loud, died, trials-loud-died)
			if trials > 20 && loud+died == 0 {
				t.Error("no fault was noticed")
			}
		})
	}
}

var ioFaults = map[string]struct {
	err   error
	short bool
}{
	"input/output error": {err: syscall.EIO},
	"disk full":          {err: syscall.ENOSPC},
	"short write":        {err: syscall.ENOSPC, short: true},
	"torn write":         {err: syscall.EIO, short: true},
}

// TestFaultChild is the process in which one operation fails, or the one that
// checks what that has left. It prints each
// acknowledged offset, what failed, and the error that it ended with.
func TestFaultChild(t *testing.T) {
	part := strings.Split(os.Getenv("EYRIE_FAULT"), "|")
	if len(part) != 3 {
		t.Skip("it is run by TestEveryOperationFailsOnce")
	}
	at, err := strconv.ParseInt(part[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if part[0] == "check" {
		if err := newFaultRun(vfs.Default, part[2]).check(uint64(at)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	f := &oneFault{at: at, err: ioFaults[part[0]].err, short: ioFaults[part[0]].short}
	r := newFaultRun(errorfs.Wrap(halves{vfs.Default, f}, f), part[2])
	err = r.live()
	if err == nil {
		err = r.live() // opens what the first life closed
	}
	if err != nil {
		fmt.Printf("said %q\n", err)
	}
	os.Exit(0) // what a failed store leaves running ends here
}

// told reads what the child printed.
func (r *faultRun) told(out string) (acked uint64, hit, said string) {
	for line := range strings.Lines(out) {
		what, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch what {
		case "acked":
			acked, _ = strconv.ParseUint(rest, 10, 64)
		case "failed":
			hit = rest
		case "said":
			said = rest
		}
	}
	return acked, hit, said
}
