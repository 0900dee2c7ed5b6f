package ledger

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, rows ...[3]uint64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "l")
	w, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if err := w.Add(int(r[0]), r[1], r[2]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadBack(t *testing.T) {
	l, err := Read(write(t, [3]uint64{7, 1, 11}, [3]uint64{3, 1, 31}, [3]uint64{7, 2, 12}), write(t, [3]uint64{4, 1, 41}))
	if err != nil {
		t.Fatal(err)
	}
	if l.Len() != 4 || l.Last(7) != 2 || l.Last(9) != 0 {
		t.Errorf("%d rows, last %d and %d", l.Len(), l.Last(7), l.Last(9))
	}
	if sum, ok := l.At(7, 2); !ok || sum != 12 {
		t.Errorf("number 2 of 7 is %d, %v", sum, ok)
	}
	for _, seq := range []uint64{0, 3} {
		if _, ok := l.At(7, seq); ok {
			t.Errorf("number %d of 7 is known", seq)
		}
	}
}

// A ledger with a gap or a repetition, or cut off, is an error: it cannot judge.
func TestBadLedgers(t *testing.T) {
	for _, rows := range [][][3]uint64{{{1, 2, 5}}, {{1, 1, 5}, {1, 1, 5}}, {{1, 1, 5}, {1, 3, 5}}} {
		if _, err := Read(write(t, rows...)); err == nil || !strings.Contains(err.Error(), "was next") {
			t.Errorf("%v: %v", rows, err)
		}
	}
	path := write(t, [3]uint64{1, 1, 5})
	if err := os.Truncate(path, rowBytes-1); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); err == nil {
		t.Error("a cut row was read")
	}
}
