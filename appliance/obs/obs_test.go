package obs

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestLoggerQuotesHostileText(t *testing.T) {
	for _, json := range []bool{false, true} {
		var b bytes.Buffer
		NewLogger(&b, json, slog.LevelInfo).Info("link closed", "agent", "x\n\x1b[2Jlevel=ERROR forged")
		if n := strings.Count(b.String(), "\n"); n != 1 {
			t.Errorf("json=%v: %d lines, want 1: %q", json, n, b.String())
		}
		if strings.ContainsRune(b.String(), 0x1b) {
			t.Errorf("json=%v: an escape reached the output: %q", json, b.String())
		}
	}
}

func TestThrottle(t *testing.T) {
	now := time.Unix(0, 0)
	th := NewThrottle(time.Second, func() time.Time { return now })
	for i, want := range []bool{true, false, false} {
		if ok, _ := th.Allow("disk"); ok != want {
			t.Errorf("call %d: got %v, want %v", i, ok, want)
		}
	}
	if ok, _ := th.Allow("other"); !ok {
		t.Error("another kind was held back")
	}
	now = now.Add(time.Second)
	if ok, dropped := th.Allow("disk"); !ok || dropped != 2 {
		t.Errorf("after the period: got %v, %d dropped; want true, 2", ok, dropped)
	}
}

func TestStamp(t *testing.T) {
	if b := Stamp(); b.Version == "" || b.Go == "" {
		t.Errorf("empty stamp: %+v", b)
	}
}
