package sources

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestOnlyLoopbackGetsFullContent(t *testing.T) {
	for server, want := range map[string]Content{
		"ws://127.0.0.1:7600": ContentFull, "http://localhost:7680/x": ContentFull, "[::1]:7600": ContentFull, "127.8.9.10": ContentFull,
		"wss://LOCALHOST.": ContentFull, "http://[::ffff:127.0.0.1]:1": ContentFull,
		"ws://10.0.0.1:7600": ContentMeta, "https://example.org": ContentMeta, "localhost.example.org": ContentMeta, "127.0.0.1.nip.io": ContentMeta,
		"ws://user@127.0.0.1@example.org": ContentMeta, "": ContentMeta, "http://0.0.0.0:1": ContentMeta, "::bad::": ContentMeta,
	} {
		if got := DefaultContent(server); got != want {
			t.Errorf("%q: got %v, want %v", server, got, want)
		}
		if got, err := ParseContent("full", server); got != ContentFull || err != nil {
			t.Errorf("asked for full: got %v, %v", got, err)
		}
	}
	if _, err := ParseContent("some", ""); err == nil {
		t.Error("some: no error")
	}
}

func TestCutSaysHowMuchIsMissing(t *testing.T) {
	for in, want := range map[string]string{
		"short": "short", "exactly10!": "exactly10!", "more than ten": "more than …[3 bytes cut]",
		"ninebytesé!": "ninebytes…[3 bytes cut]", "bad\xff": "bad\uFFFD",
	} {
		if got := Cut(in, 10); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	if got := Cut(strings.Repeat("é", 100), 33); !utf8.ValidString(got) {
		t.Errorf("%q is not UTF-8", got)
	}
	if got := Title("\n  \n a title \nmore", 20); got != "a title" {
		t.Errorf("title: got %q", got)
	}
}

func TestProducerIsTheSameEveryTime(t *testing.T) {
	if a, b := Producer("claude-code", "h", "/p"), Producer("claude-code", "h", "/p"); a != b || a.String() != "bc12b63c-89db-546d-b7bf-7e65dc97cbce" {
		t.Errorf("got %s and %s: a producer that changes makes every follower start over", a, b)
	}
	if Producer("a", "bc") == Producer("ab", "c") {
		t.Error("parts run together")
	}
}
