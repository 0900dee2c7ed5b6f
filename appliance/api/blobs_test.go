//go:build linux

package api_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"eyrie/appliance/access"
)

func sumOf(content string) string {
	s := sha256.Sum256([]byte(content))
	return hex.EncodeToString(s[:])
}

// Blobs are put, named, got in part and whole; each space has its own, and an
// event that names another's is refused.
func TestBlobs(t *testing.T) {
	r := newRig(t)
	agent, viewer := r.keys["agent"], r.keys["viewer"]
	here := strings.Repeat("0123456789", 60_000)
	path := "/v1/blobs/" + sumOf(here)
	event := func(sum string) string {
		return fmt.Sprintf(`{"type":"tool","agent":"a","span":"s","output":{"$blob":%q,"size":600000,"type":"text/plain"}}`, sum)
	}
	if p, _ := r.post(agent, event(sumOf(here))); p.Stored != 0 || len(p.Refused) != 1 || p.Refused[0].Code != "blob" || p.Refused[0].Field != "output" {
		t.Fatalf("before it was put: %+v", p)
	}
	for _, ask := range [][2]string{{"POST", "/v1/blobs"}, {"PUT", path}, {"POST", "/v1/blobs"}} {
		a := r.ask(ask[0], ask[1], agent, here, "Content-Type", "text/plain; charset=utf-8")
		if want := fmt.Sprintf(`{"$blob":%q,"size":600000,"type":"text/plain; charset=utf-8"}`, sumOf(here)); a.StatusCode != 200 || string(a.body) != want {
			t.Fatalf("%s: %d %s, want %s", ask[0], a.StatusCode, a.body, want)
		}
	}
	if err := r.ask("PUT", path, agent, "other").problem(400, "bad_parameter", "sha256"); err != nil {
		t.Error(err)
	}
	if p, a := r.post(agent, event(sumOf(here))); p.Stored != 1 {
		t.Fatalf("%s", a.body)
	}
	a := r.ask("GET", path, viewer, "")
	etag := `"` + sumOf(here) + `"`
	for name, want := range map[string]string{
		"ETag": etag, "Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff", "Accept-Ranges": "bytes",
		"Cache-Control": "private, max-age=31536000, immutable", "Content-Security-Policy": "default-src 'none'; sandbox",
		"Content-Disposition": `inline; filename="` + sumOf(here)[:16] + `"`,
	} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if a.StatusCode != 200 || string(a.body) != here {
		t.Errorf("%d, %d bytes", a.StatusCode, len(a.body))
	}
	if a := r.ask("HEAD", path, viewer, ""); a.StatusCode != 200 || a.ContentLength != 600_000 || len(a.body) != 0 {
		t.Errorf("HEAD: %d, %d", a.StatusCode, a.ContentLength)
	}
	if a := r.ask("GET", path, viewer, "", "If-None-Match", etag); a.StatusCode != 304 || len(a.body) != 0 {
		t.Errorf("known: %d", a.StatusCode)
	}
	for ask, want := range map[string]string{"bytes=0-9": here[:10], "bytes=599990-": here[:10], "bytes=-5": "56789", "bytes=3-4,7-8": here} {
		a := r.ask("GET", path, viewer, "", "Range", ask)
		if string(a.body) != want || (a.StatusCode == 206) != (len(want) < len(here)) || a.StatusCode == 206 && !strings.HasSuffix(a.Header.Get("Content-Range"), "/600000") {
			t.Errorf("%s: %d %q, %d bytes", ask, a.StatusCode, a.Header.Get("Content-Range"), len(a.body))
		}
	}
	a = r.ask("GET", path, viewer, "", "Range", "bytes=600000-")
	if err := a.problem(416, "range", ""); err != nil || a.Header.Get("Content-Range") != "bytes */600000" || a.Header.Get("Cache-Control") != "no-store" {
		t.Error(err, a.Header)
	}
	if a := r.ask("GET", path, viewer, "", "Range", "bytes=0-9", "If-Range", `"else"`); a.StatusCode != 200 {
		t.Errorf("If-Range: %d", a.StatusCode)
	}

	// Another space has nothing of it, and is told nothing of it.
	theirs := r.token(access.Token{Name: "t", Role: access.Operator, Space: "theirs"})
	missing := r.ask("GET", "/v1/blobs/"+sumOf("nowhere"), theirs, "")
	a = r.ask("GET", path, theirs, "")
	if err := a.problem(404, "not_found", ""); err != nil || !bytes.Equal(a.body, missing.body) {
		t.Errorf("%v; %s, for one that is nowhere %s", err, a.body, missing.body)
	}
	if err := r.ask("GET", path+"?space=main", theirs, "").problem(403, "space", ""); err != nil {
		t.Error(err)
	}
	if p, _ := r.post(theirs, event(sumOf(here))); p.Stored != 0 || len(p.Refused) != 1 || p.Refused[0].Code != "blob" {
		t.Errorf("another space's blob is named: %+v", p)
	}
	if err := r.ask("GET", path, agent, "").problem(403, "role", ""); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"x", strings.ToUpper(sumOf(here)), sumOf(here)[1:]} {
		if err := r.ask("GET", "/v1/blobs/"+bad, viewer, "").problem(400, "bad_parameter", "sha256"); err != nil {
			t.Error(bad, err)
		}
	}

	// What an agent puts is no page of eyrie's.
	html := "<script>alert(1)</script>"
	for _, kind := range []string{"text/html", "image/svg+xml", "application/xhtml+xml", "nonsense", ""} {
		content := html + kind
		if a := r.ask("POST", "/v1/blobs", agent, content, "Content-Type", kind); a.StatusCode != 200 {
			t.Fatalf("%s: %s", kind, a.body)
		}
		a := r.ask("GET", "/v1/blobs/"+sumOf(content), viewer, "")
		if !strings.HasPrefix(a.Header.Get("Content-Disposition"), "attachment;") || a.Header.Get("Content-Type") == "" || string(a.body) != content {
			t.Errorf("%s: %q %q", kind, a.Header.Get("Content-Disposition"), a.Header.Get("Content-Type"))
		}
	}

	// It is all there after a restart, the largest one too.
	large := strings.Repeat("x", 16<<20)
	if a := r.ask("POST", "/v1/blobs", agent, large); a.StatusCode != 200 {
		t.Fatalf("16 MiB: %d %s", a.StatusCode, a.body)
	}
	if err := r.ask("POST", "/v1/blobs", agent, large+"x").problem(413, "too_large", ""); err != nil {
		t.Error(err)
	}
	if err := r.ask("POST", "/v1/blobs", "eyrie_wrongwrongwrongwrongwrong", large).problem(401, "key_unknown", ""); err != nil {
		t.Error(err)
	}
	r.stop()
	r.start()
	for _, content := range []string{here, large, html + "text/html"} {
		if a := r.ask("GET", "/v1/blobs/"+sumOf(content), viewer, ""); a.StatusCode != 200 || string(a.body) != content {
			t.Errorf("after a restart: %d, %d bytes", a.StatusCode, len(a.body))
		}
	}
}
