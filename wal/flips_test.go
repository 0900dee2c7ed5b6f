package wal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"eyrie/wal/block"
)

// kindOf sorts the log's files.
func kindOf(name string) string {
	switch base := name[strings.LastIndexByte(name, '/')+1:]; {
	case base == markName:
		return "mark"
	case strings.HasSuffix(base, ".sst"):
		return "table"
	case strings.HasSuffix(base, ".log"):
		return "WAL"
	case strings.HasPrefix(base, "MANIFEST"):
		return "MANIFEST"
	case strings.HasPrefix(base, "OPTIONS"):
		return "OPTIONS"
	}
	return ""
}

// Verdicts on a flipped bit.
const (
	harmless = "harmless" // the log opens with exactly what was acknowledged, and goes on
	named    = "named"    // it opens; reading what is damaged is an error that names the offsets
	refused  = "refused"  // it does not open, and says what is lost
	unranged = "refused, no range"
)

// judgeFlip opens a log of which a bit was flipped and says how it took it. An
// error is a silent one: the log opens and shows something else than was
// acknowledged, or it refuses and verify finds nothing.
func judgeFlip(t testing.TB, fs *vfs.MemFS, o Options, want state) (verdict string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	o.FS = fs
	found, verr := Verify(context.Background(), VerifyOptions{Log: o})
	if verr != nil {
		return "", fmt.Errorf("verify: %w", verr)
	}
	r, err := open(o)
	if err != nil {
		if len(found.Damages) == 0 {
			return "", fmt.Errorf("refused (%w), and verify finds nothing", err)
		}
		var lost *LostError
		if !errors.As(err, &lost) {
			return unranged, nil
		}
		verdict = refused
		if lost.From == 0 {
			verdict = unranged
		}
		o.AcceptLoss = true
		n, err := open(o)
		if err != nil {
			return verdict, fmt.Errorf("accepting it: %w", err)
		}
		recs, err := n.readAll()
		if errors.As(err, &lost) {
			err = nil // a damaged chunk is copied, and told to who reads it
		}
		if err == nil {
			err = subset(recs, want.recs)
		}
		if err = errors.Join(err, n.Close()); err != nil {
			return verdict, fmt.Errorf("behind accepting it: %w", err)
		}
		again, err := Verify(context.Background(), VerifyOptions{Log: o})
		for i := range again.Damages {
			if p := again.Damages[i].Part; p != "chunk" && p != "page" {
				err = errors.Join(err, fmt.Errorf("behind accepting it: %s", again.Damages[i].String()))
			}
		}
		return verdict, err
	}
	recs, err := r.readAll()
	var lost *LostError
	var corrupt *block.CorruptError
	switch {
	case errors.As(err, &lost), errors.As(err, &corrupt), err != nil && strings.Contains(err.Error(), "checksum mismatch"):
		if len(found.Damages) == 0 {
			return "", errors.Join(fmt.Errorf("reading says %w, and verify finds nothing", err), r.Close())
		}
		if err := subset(recs, want.recs); err != nil {
			return "", errors.Join(err, r.Close())
		}
		_ = r.Close()
		return named, nil
	case err != nil:
		return "", errors.Join(err, r.Close())
	}
	if d := r.state(t).differ(want); d != "" {
		return "", errors.Join(errors.New("silent: "+d), r.Close())
	}
	// It goes on, and is sound behind that.
	c := newClock()
	c.add(1 << 40)
	load := newCrowd(99, c)
	if err := errors.Join(load.turn(r.w, 40), r.commit(), r.Close()); err != nil {
		return "", err
	}
	again, err := Verify(context.Background(), VerifyOptions{Log: o})
	if err != nil || len(again.Damages) > len(found.Damages) || again.Next <= uint64(len(want.recs)) {
		return "", fmt.Errorf("it went on and then: %v %v", err, damages(again))
	}
	return harmless, nil
}

// subset tells whether what is left, holes aside, is what was appended.
func subset(got, want []Record) error {
	for i := range got {
		if r := &got[i]; r.Kind != KindHole {
			if r.Offset > uint64(len(want)) {
				return fmt.Errorf("offset %d was never given out", r.Offset)
			}
			if d := differ(r, &want[r.Offset-1]); d != "" {
				return errors.New(d)
			}
		}
	}
	return nil
}

// TestFlips flips EYRIE_FLIPS random bits, one at a time, over every kind of
// file of a log, after clean and unclean ends; 24 unless told. None may be
// silent.
func TestFlips(t *testing.T) {
	n := 24
	if s := os.Getenv("EYRIE_FLIPS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal("EYRIE_FLIPS: ", err)
		}
	}
	rng := rand.New(rand.NewPCG(2026, 11))
	type specimen struct {
		o     Options
		disk  *vfs.MemFS
		want  state
		clean bool
		kinds map[string][]string
	}
	o := small(nil)
	o.MemtableBytes = 32 << 10
	var specimens []*specimen
	for seed := range uint64(8) {
		s := &specimen{o: o, clean: seed%2 == 0, kinds: map[string][]string{}}
		if seed >= 4 {
			s.o = sealing(o)
		}
		s.disk, s.want = written(t, newMem(), s.o, seed, 8+rng.IntN(20), s.clean)
		for name, p := range files(t, s.disk, "log") {
			if k := kindOf(name); k != "" && len(p) > 0 {
				s.kinds[k] = append(s.kinds[k], name)
			}
		}
		for _, names := range s.kinds {
			slices.Sort(names)
		}
		specimens = append(specimens, s)
	}
	count := map[string]map[string]int{}
	for i := range n {
		s := specimens[i%len(specimens)]
		kinds := slices.Sorted(maps.Keys(s.kinds))
		kind := kinds[i/len(specimens)%len(kinds)]
		name := s.kinds[kind][rng.IntN(len(s.kinds[kind]))]
		fs := s.disk.CrashClone(vfs.CrashCloneCfg{})
		st, err := fs.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		bit := rng.Int64N(8 * st.Size())
		if err := flip(fs, name, bit); err != nil {
			t.Fatal(err)
		}
		v, err := judgeFlip(t, fs, s.o, s.want)
		if err != nil {
			t.Errorf("specimen %d (clean %v), %s, bit %d of %d: %v", i%len(specimens), s.clean, name, bit, 8*st.Size(), err)
			v = "WRONG"
		}
		if s.clean {
			kind += ", clean"
		} else {
			kind += ", unclean"
		}
		if count[kind] == nil {
			count[kind] = map[string]int{}
		}
		count[kind][v]++
	}
	for _, k := range slices.Sorted(maps.Keys(count)) {
		t.Logf("%-20s %v", k, count[k])
	}
}
