package tailfile

import (
	"math"
	"slices"
	"testing"
)

func TestMarksComeBack(t *testing.T) {
	in := Marks{SettledBefore: 5, UnreadFrom: math.MaxInt64, List: []Mark{
		{Print: 1, Path: 2, Offset: 1 << 40, Tail: 3, Mtime: 100, Settled: 1 << 40},
		{Print: math.MaxUint64, Path: math.MaxUint32, Offset: 7, Tail: math.MaxUint32, Mtime: 90, Settled: 1},
		{Print: 9, Offset: 1, Mtime: -5},
	}}
	b := in.Append(nil, 1000)
	out, err := ParseMarks(b)
	if err != nil || out.SettledBefore != 5 || !slices.Equal(out.List, in.List) {
		t.Errorf("got %+v, %v", out, err)
	}
	for n := 1; n < len(b); n++ { // cut anywhere: an error or fewer marks, never other ones
		if got, err := ParseMarks(b[:n]); err == nil {
			for i := range got.List {
				if got.List[i] != in.List[i] {
					t.Errorf("cut at %d: got %+v", n, got.List[i])
				}
			}
		}
	}
}

func TestTheOldestMarksGoFirst(t *testing.T) {
	var in Marks
	for i := range 1000 {
		in.List = append(in.List, Mark{Print: uint64(i + 1), Offset: 1000, Mtime: int64(i)})
	}
	in.UnreadFrom = math.MaxInt64
	b := in.Append(nil, 2000)
	out, err := ParseMarks(b)
	if err != nil || len(b) > 2000 || len(out.List) < 50 {
		t.Fatalf("%d bytes, %d marks, %v", len(b), len(out.List), err)
	}
	newest, oldest := out.List[0], out.List[len(out.List)-1]
	if newest.Mtime != 999 || out.SettledBefore != oldest.Mtime {
		t.Errorf("newest %d, oldest %d, settled before %d", newest.Mtime, oldest.Mtime, out.SettledBefore)
	}
	in.UnreadFrom = 400 // a file of that age is not read yet: nothing at or after it counts as read
	if out, err = ParseMarks(in.Append(nil, 2000)); err != nil || out.SettledBefore != 400 {
		t.Errorf("settled before %d, %v, want 400", out.SettledBefore, err)
	}
}

func FuzzParseMarks(f *testing.F) {
	f.Add(Marks{List: []Mark{{Print: 1, Offset: 2, Settled: 1}}}.Append(nil, 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMarks(b)
		if err != nil {
			return
		}
		m.UnreadFrom = math.MaxInt64
		for _, k := range m.List {
			if k.Offset < 0 || k.Settled < 0 || k.Settled > k.Offset {
				t.Fatalf("%+v", k)
			}
		}
		if again, err := ParseMarks(m.Append(nil, 1<<30)); err != nil || len(again.List) != len(m.List) {
			t.Fatalf("%d marks became %d, %v", len(m.List), len(again.List), err)
		}
	})
}
