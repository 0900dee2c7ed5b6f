package api

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/klauspost/compress/gzip"
	"github.com/valyala/fasthttp"
)

func frontEnd(t *testing.T) *files {
	t.Helper()
	f, err := loadFiles(fstest.MapFS{
		"index.html":          {Data: []byte("<!doctype html><title>eyrie</title>")},
		"assets/app-1a2b.js":  {Data: []byte(strings.Repeat("let eyrie;", 1000))},
		"assets/font-3c.bin":  {Data: bytes.Repeat([]byte{7}, 5000)},
		"assets/tiny-4d.css":  {Data: []byte("a{}")},
		"favicon.svg":         {Data: []byte("<svg/>")},
		"assets/app-1a2b.map": {Data: []byte("{}")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// fetch asks for a file; headers come in pairs.
func fetch(f *files, path string, headers ...string) *fasthttp.Response {
	var ctx fasthttp.RequestCtx
	for i := 0; i+1 < len(headers); i += 2 {
		ctx.Request.Header.Set(headers[i], headers[i+1])
	}
	f.serve(&ctx, path)
	return &ctx.Response
}

func TestFilesAreCached(t *testing.T) {
	f := frontEnd(t)
	for path, cache := range map[string]string{
		"/": "no-cache", "/index.html": "no-cache", "/agents/main/a.b": "no-cache", "/favicon.svg": "no-cache",
		"/assets/app-1a2b.js": "public, max-age=31536000, immutable",
	} {
		r := fetch(f, path)
		tag := string(r.Header.Peek("ETag"))
		if r.StatusCode() != 200 || len(r.Body()) == 0 || tag == "" || string(r.Header.Peek("Cache-Control")) != cache {
			t.Errorf("%s: %d, %d bytes, ETag %q, Cache-Control %q", path, r.StatusCode(), len(r.Body()), tag, r.Header.Peek("Cache-Control"))
		}
		for _, match := range []string{tag, "W/" + tag, `"other", ` + tag, "*"} {
			if r := fetch(f, path, "If-None-Match", match); r.StatusCode() != 304 || len(r.Body()) != 0 || string(r.Header.Peek("ETag")) != tag {
				t.Errorf("%s, If-None-Match %s: %d, %d bytes", path, match, r.StatusCode(), len(r.Body()))
			}
		}
		if r := fetch(f, path, "If-None-Match", `"other"`); r.StatusCode() != 200 {
			t.Errorf("%s: %d for another tag", path, r.StatusCode())
		}
	}
	if r := fetch(f, "/assets/gone.js"); r.StatusCode() != 404 || string(r.Header.ContentType()) != "application/problem+json" {
		t.Errorf("a missing file: %d %s", r.StatusCode(), r.Header.ContentType())
	}
}

func TestFilesAreZipped(t *testing.T) {
	f := frontEnd(t)
	plain := fetch(f, "/assets/app-1a2b.js").Body()
	r := fetch(f, "/assets/app-1a2b.js", "Accept-Encoding", "br, gzip")
	if string(r.Header.Peek("Content-Encoding")) != "gzip" || string(r.Header.Peek("Vary")) != "Accept-Encoding" || len(r.Body()) >= len(plain) {
		t.Fatalf("%q, Vary %q, %d of %d bytes", r.Header.Peek("Content-Encoding"), r.Header.Peek("Vary"), len(r.Body()), len(plain))
	}
	z, err := gzip.NewReader(bytes.NewReader(r.Body()))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(z); err != nil || !bytes.Equal(b, plain) {
		t.Errorf("unzipped it is another file (%v)", err)
	}
	if got, want := string(r.Header.Peek("ETag")), string(fetch(f, "/assets/app-1a2b.js").Header.Peek("ETag")); got == want {
		t.Error("two different bodies have one strong ETag")
	}
	for _, path := range []string{"/assets/font-3c.bin", "/assets/tiny-4d.css"} {
		if r := fetch(f, path, "Accept-Encoding", "gzip"); len(r.Header.Peek("Content-Encoding")) != 0 {
			t.Errorf("%s is zipped", path)
		}
	}
	if r := fetch(f, "/assets/app-1a2b.js", "Accept-Encoding", "gzip;q=0"); len(r.Header.Peek("Content-Encoding")) != 0 {
		t.Error("zipped for one who refuses it")
	}
}

// The page may load nothing but its own files, and nobody may frame it.
func TestFilesPolicy(t *testing.T) {
	p := string(fetch(frontEnd(t), "/").Header.Peek("Content-Security-Policy"))
	for _, want := range []string{"default-src 'self'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
		if !strings.Contains(p, want) {
			t.Errorf("the policy %q lacks %q", p, want)
		}
	}
	if strings.Contains(p, "unsafe") {
		t.Errorf("the policy allows what is unsafe: %q", p)
	}
}
