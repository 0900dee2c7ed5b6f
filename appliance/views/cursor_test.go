package views

import (
	"encoding/hex"
	"testing"
)

// TestGoldenCursor pins the row that says where a snapshot stands.
func TestGoldenCursor(t *testing.T) {
	c := cursor{version: 3, log: [16]byte{1, 2, 15: 9}, epoch: 7, next: 1 << 40, digests: 5}
	const want = "ea020300000001020000000000000000000000000009070000000000000000010000050000000000000026484a17"
	row := c.append(nil)
	if got := hex.EncodeToString(row); got != want {
		t.Errorf("got %s, want %s: another format needs another cursorForm", got, want)
	}
	if got, err := parseCursor(row); err != nil || got != c {
		t.Errorf("got %+v, %v", got, err)
	}
	// Of the release before.
	old, err := hex.DecodeString("ea01030000000102000000000000000000000000000907000000000000000001000045e3dccd")
	if got, perr := parseCursor(old); err != nil || perr != nil || got.next != c.next || got.digests != 0 {
		t.Errorf("got %+v, %v", got, perr)
	}
	for i := range row {
		row[i] ^= 4
		if _, err := parseCursor(row); err == nil {
			t.Errorf("byte %d damaged and not noticed", i)
		}
		row[i] ^= 4
	}
	if _, err := parseCursor(row[:len(row)-1]); err == nil {
		t.Error("a short row was taken")
	}
}
