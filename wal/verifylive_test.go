package wal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestVerifyOfAnOpenLog verifies a log while it is appended to and sealed, and
// once more with a bit turned over in one of its tables.
func TestVerifyOfAnOpenLog(t *testing.T) {
	c := newClock()
	fs := newMem()
	o := sealing(small(fs))
	o.Now, o.CheckpointBytes = c.now, 10_000
	r := mustOpen(t, o)
	load := newCrowd(9, c)
	turn := func() {
		t.Helper()
		if err := load.turn(r.w, 50); err != nil {
			t.Fatal(err)
		}
		r.mustCommit(t)
	}
	for i := range 60 {
		if turn(); i == 40 {
			if err := r.Seal(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	least := r.Next()
	type result struct {
		res *VerifyResult
		err error
	}
	done := make(chan result)
	begun, asked := make(chan struct{}), make(chan struct{})
	go func() {
		first := true
		res, err := r.Verify(context.Background(), VerifyOptions{Block: func([16]byte, *Block, bool) {
			if first {
				close(begun)
				<-asked
				first = false
			}
		}})
		done <- result{res, err}
	}()
	<-begun
	if _, err := r.Verify(t.Context(), VerifyOptions{}); !errors.Is(err, ErrVerifyRunning) {
		t.Errorf("a second one at once: %v", err)
	}
	close(asked)
	for range 20 {
		turn()
	}
	if err := r.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := <-done
	if got.err != nil || len(got.res.Damages) != 0 || got.res.Next < least || got.res.Sealed == 0 || got.res.Digests == 0 {
		t.Fatalf("%v %+v", got.err, got.res)
	}
	if _, err := fs.Stat("log/" + verifyName); err == nil {
		t.Error("something is left of it")
	}
	names, err := fs.List("log/" + storeName)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if !strings.HasSuffix(n, ".sst") {
			continue
		}
		st, err := fs.Stat("log/" + storeName + "/" + n)
		if err != nil || st.Size() < 4000 {
			continue
		}
		if err := flip(fs, "log/"+storeName+"/"+n, 8*1000); err != nil {
			t.Fatal(err)
		}
	}
	res, err := r.Verify(t.Context(), VerifyOptions{})
	if err != nil || len(res.Damages) == 0 || !strings.Contains(fmt.Sprint(damages(res)), ".sst") {
		t.Errorf("%v %+v", err, res)
	}
	_ = r.Close() // it may have met the damage
}
