package tailfile

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/cespare/xxhash/v2"
)

const (
	printBytesMax = 4096 // of the first line, that tell one file from another
	tailBytesMax  = 128  // before the offset, that tell whether the file was rewritten
	readBytes     = 256 << 10
)

// File is one followed file. Its fields are the tree's; callers read them and set Settled and User.
type File struct {
	Path    string // relative to the root, with slashes
	Offset  int64  // where the next line begins
	Lines   int    // lines before Offset
	Replay  int64  // lines that end at or before this were read by a run before this one
	Settled int64  // the caller's own: an offset that travels in the mark, 0 = none
	User    any    // the caller's state of this file; reset with the file

	abs        string
	info       fs.FileInfo
	print      uint64
	tail       uint32
	replay     bool   // Replay is not reached yet
	replayTail uint32 // hash of the bytes before Replay
	stale      bool   // grown or changed since it was read
	open       bool   // the last line taken had no line end yet
	partial    bool   // the last read ended inside a line
}

// Line is one line of a file.
type Line struct {
	File   *File
	No     int    // from 1
	Offset int64  // of its first byte
	Data   []byte // without the line's end; valid until the callback returns
	Cut    int64  // bytes that exceeded the longest line and are not in Data
	// Partial: the file ends here without a line end. Delivered only by a final Read; the callback answers
	// ErrIncomplete when the line is not whole yet, and sees it again when there is more.
	Partial bool
	Replay  bool // the line was read by a run before this one
}

// Partial reports whether the last read ended inside a line.
func (f *File) Partial() bool { return f.partial }

// ErrIncomplete is a callback's answer to a partial line that it does not take.
var ErrIncomplete = errors.New("tailfile: line is not complete")

// read delivers the lines beyond f.Offset. It ends at the file's end or at fn's first error.
func (f *File) read(o *Options, final bool, fn func(Line) error) error {
	h, err := os.Open(f.abs)
	if err != nil {
		return err
	}
	defer h.Close()
	if f.info, err = h.Stat(); err != nil {
		return err
	}
	if ok, err := f.same(h); err != nil {
		return err
	} else if !ok {
		f.reset()
	}
	f.stale, f.partial = false, false
	if _, err := h.Seek(f.Offset, io.SeekStart); err != nil {
		return err
	}
	var (
		buf  = o.buffer[:0]
		cut  int64
		from int // bytes of buf already searched for a line end
	)
	defer func() { o.buffer = keep(buf) }()
	for {
		if cap(buf)-len(buf) < readBytes/4 {
			buf = append(make([]byte, 0, 2*cap(buf)+readBytes), buf...)
		}
		n, err := h.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		rest := buf
		for {
			i := bytes.IndexByte(rest[from:], '\n')
			if i < 0 {
				break
			}
			if err := f.deliver(h, o, rest[:from+i+1], cut, false, fn); err != nil {
				return err
			}
			rest, from, cut = rest[from+i+1:], 0, 0
		}
		buf = append(buf[:0], rest...)
		from = len(buf)
		if len(buf) > o.LineMax {
			cut += int64(len(buf) - o.LineMax)
			buf, from = buf[:o.LineMax], o.LineMax
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if len(buf) == 0 {
		return nil
	}
	f.partial = true
	if final {
		if err := f.deliver(h, o, buf, cut, true, fn); err != nil && err != ErrIncomplete {
			return err
		} else if err == nil {
			f.partial = false
		}
	}
	return nil
}

// deliver hands one line to fn. raw is the line with its end, less the cut bytes of a line that is too long.
func (f *File) deliver(h io.ReaderAt, o *Options, raw []byte, cut int64, partial bool, fn func(Line) error) error {
	// A former run took the beginning of this line when it was all there was: what was written behind it, without a
	// line end between, is a line of its own, as it was for a run that kept reading.
	if n := f.Replay - f.Offset; f.replay && cut == 0 && n > 0 && n < int64(len(bytes.TrimRight(raw, "\r\n"))) {
		if err := f.deliver(h, o, raw[:n], 0, true, fn); err != nil {
			return err
		}
		raw = raw[n:]
	}
	line := raw
	if !partial {
		line = raw[:len(raw)-1]
	}
	end := f.Offset + int64(len(raw)) + cut
	l := Line{File: f, No: f.Lines + 1, Offset: f.Offset, Partial: partial, Replay: f.Offset+int64(len(line))+cut <= f.Replay}
	if f.open {
		l.No = f.Lines // still on the line whose beginning was taken
	}
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	if len(line) > o.LineMax {
		cut += int64(len(line) - o.LineMax)
		line = line[:o.LineMax]
	}
	l.Data, l.Cut = line, cut
	rest := f.open && len(line) == 0 // the end of a line that was taken before it had one
	if !rest {
		if err := fn(l); err != nil {
			return err
		}
		f.Lines = l.No
	}
	if f.print == 0 {
		f.print = printOf(raw)
	}
	behind := f.open // raw is not the whole line
	f.Offset, f.open = end, partial
	f.tail = tailHash(raw)
	if behind || cut > 0 {
		f.tail, _, _ = tailAt(h, end)
	}
	return nil
}

// same reports whether the bytes before the offset are those that were read.
func (f *File) same(h io.ReaderAt) (bool, error) {
	if f.Offset == 0 {
		return true, nil
	}
	if f.info.Size() < f.Offset {
		return false, nil
	}
	got, ok, err := tailAt(h, f.Offset)
	return ok && got == f.tail, err
}

// reset forgets what was read: the file was truncated or rewritten.
func (f *File) reset() {
	f.Offset, f.Lines, f.Replay, f.print, f.tail = 0, 0, 0, 0, 0
	f.Settled, f.replay, f.open, f.User = 0, false, false, nil
	f.stale = true
}

// printOf hashes the beginning of the first line, without its end.
func printOf(first []byte) uint64 {
	first = bytes.TrimSuffix(first, []byte{'\n'})
	return max(1, xxhash.Sum64(first[:min(len(first), printBytesMax)]))
}

// printAt returns the print of an open file, false while its first line is not whole.
func printAt(h io.ReaderAt) (uint64, bool, error) {
	buf := make([]byte, printBytesMax)
	n, err := h.ReadAt(buf, 0)
	if err != nil && err != io.EOF {
		return 0, false, err
	}
	buf = buf[:n]
	if i := bytes.IndexByte(buf, '\n'); i >= 0 {
		return printOf(buf[:i]), true, nil
	}
	return printOf(buf), n == printBytesMax, nil
}

// tailHash hashes the end of the line that was read last (its last tailBytesMax bytes).
func tailHash(raw []byte) uint32 {
	n := min(len(raw), tailBytesMax)
	return uint32(xxhash.Sum64(raw[len(raw)-n:]))
}

// tailAt hashes the end of the line that ends at off; false when the file is shorter.
func tailAt(h io.ReaderAt, off int64) (uint32, bool, error) {
	if off <= 0 {
		return 0, false, nil
	}
	n := min(off, tailBytesMax)
	buf := make([]byte, n)
	if _, err := h.ReadAt(buf, off-n); err != nil {
		if err == io.EOF {
			return 0, false, nil
		}
		return 0, false, err
	}
	// Only the last line counts: tailHash saw no more than that.
	if i := bytes.LastIndexByte(buf[:n-1], '\n'); i >= 0 {
		buf = buf[i+1:]
	}
	return uint32(xxhash.Sum64(buf)), true, nil
}

// keep returns a buffer worth keeping: one long line must not hold its memory for ever.
func keep(buf []byte) []byte {
	if cap(buf) > 4*readBytes {
		return nil
	}
	return buf[:0]
}
