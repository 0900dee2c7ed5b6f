package ledger

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cespare/xxhash/v2"
)

// A file is rows of 20 bytes, LE: connection u32, number u64, Sum of the
// payload u64. Numbers of one connection rise by one from 1.
const rowBytes = 20

// Sum is the hash of a payload.
func Sum(payload []byte) uint64 { return xxhash.Sum64(payload) }

// Writer appends rows to a file.
type Writer struct {
	f *os.File
	b *bufio.Writer
}

// Create makes the file, or empties it.
func Create(path string) (*Writer, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &Writer{f, bufio.NewWriterSize(f, 1<<20)}, nil
}

// Add notes that event seq of connection conn was acknowledged.
func (w *Writer) Add(conn int, seq, sum uint64) error {
	var row [rowBytes]byte
	binary.LittleEndian.PutUint32(row[:], uint32(conn))
	binary.LittleEndian.PutUint64(row[4:], seq)
	binary.LittleEndian.PutUint64(row[12:], sum)
	_, err := w.b.Write(row[:])
	return err
}

// Flush hands what was added to the system.
func (w *Writer) Flush() error { return w.b.Flush() }

// Close flushes and closes.
func (w *Writer) Close() error { return errors.Join(w.b.Flush(), w.f.Close()) }

// Ledger is everything that was acknowledged.
type Ledger struct {
	sums map[int][]uint64 // of connection; number n is at n-1
	n    uint64
}

// Read reads ledger files into one.
func Read(paths ...string) (*Ledger, error) {
	l := &Ledger{sums: map[int][]uint64{}}
	for _, p := range paths {
		if err := l.read(p); err != nil {
			return nil, fmt.Errorf("ledger %s: %w", p, err)
		}
	}
	return l, nil
}

func (l *Ledger) read(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	b := bufio.NewReaderSize(f, 1<<20)
	for {
		var row [rowBytes]byte
		if _, err := io.ReadFull(b, row[:]); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		conn, seq := int(binary.LittleEndian.Uint32(row[:])), binary.LittleEndian.Uint64(row[4:])
		if want := uint64(len(l.sums[conn])) + 1; seq != want {
			return fmt.Errorf("connection %d: number %d was acknowledged, %d was next", conn, seq, want)
		}
		l.sums[conn] = append(l.sums[conn], binary.LittleEndian.Uint64(row[12:]))
		l.n++
	}
}

// Len returns how many events were acknowledged.
func (l *Ledger) Len() uint64 { return l.n }

// Last returns the highest number of a connection, 0 for none.
func (l *Ledger) Last(conn int) uint64 { return uint64(len(l.sums[conn])) }

// At returns the hash of number seq of a connection.
func (l *Ledger) At(conn int, seq uint64) (sum uint64, ok bool) {
	s := l.sums[conn]
	if seq < 1 || seq > uint64(len(s)) {
		return 0, false
	}
	return s[seq-1], true
}
