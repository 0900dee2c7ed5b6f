package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"mime"
	"path"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/valyala/fasthttp"
)

// csp lets the page load nothing but its own files and talk to its own host.
const csp = "default-src 'self'; img-src 'self' data:; style-src 'self'; script-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"

// file is one built file of the front end, ready to send.
type file struct {
	body       []byte
	zipped     func() []byte // nil where that gains nothing
	kind, etag string
	immutable  bool
}

// files are the front end, read once.
type files struct {
	byPath map[string]*file
	index  *file
}

func loadFiles(f fs.FS) (*files, error) {
	out := &files{byPath: make(map[string]*file)}
	err := fs.WalkDir(f, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(f, p)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(b)
		x := &file{body: b, kind: mime.TypeByExtension(path.Ext(p)), etag: `"` + hex.EncodeToString(sum[:8]) + `"`, immutable: strings.HasPrefix(p, "assets/")}
		if x.kind == "" {
			x.kind = "application/octet-stream"
		}
		if len(b) > 1024 && (strings.HasPrefix(x.kind, "text/") || strings.Contains(x.kind, "javascript") || strings.Contains(x.kind, "json") || strings.Contains(x.kind, "svg")) {
			// When someone asks: at the start agents wait.
			x.zipped = sync.OnceValue(func() []byte { return zip(b) })
		}
		out.byPath["/"+p] = x
		return nil
	})
	out.index = out.byPath["/index.html"]
	return out, err
}

func zip(b []byte) []byte {
	var z bytes.Buffer
	w, _ := gzip.NewWriterLevel(&z, gzip.BestCompression)
	_, _ = w.Write(b) // a Buffer takes all
	_ = w.Close()
	return z.Bytes()
}

// serve answers a GET for a page or one of its files. Every path that is no
// file is a page of the front end, which routes by itself; only what is missing
// below /assets/ is missing.
func (f *files) serve(ctx *fasthttp.RequestCtx, p string) {
	x := f.byPath[p]
	if x == nil && !strings.HasPrefix(p, "/assets/") {
		x = f.index
	}
	if x == nil {
		writeProblem(ctx, problem(404, "not_found", "No such file."))
		return
	}
	h := &ctx.Response.Header
	body, etag := x.body, x.etag
	zipped := x.zipped != nil && acceptsGzip(string(ctx.Request.Header.Peek("Accept-Encoding")))
	if zipped { // another body under a strong tag needs another tag
		body, etag = x.zipped(), strings.TrimSuffix(x.etag, `"`)+`-gzip"`
	}
	h.Set("ETag", etag)
	h.Set("Content-Security-Policy", csp)
	h.Set("Vary", "Accept-Encoding")
	if x.immutable {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "no-cache")
	}
	if noneMatch(string(ctx.Request.Header.Peek("If-None-Match")), etag) {
		ctx.SetStatusCode(304)
		return
	}
	ctx.SetContentType(x.kind)
	if zipped {
		h.Set("Content-Encoding", "gzip")
	}
	ctx.SetBody(body)
}

// noneMatch reports whether an If-None-Match names the tag, or any: the
// comparison is the weak one (RFC 9110, 13.1.2).
func noneMatch(header, etag string) bool {
	for t := range strings.SplitSeq(header, ",") {
		if t = strings.TrimPrefix(strings.TrimSpace(t), "W/"); t == etag || t == "*" {
			return true
		}
	}
	return false
}

// acceptsGzip reports whether an Accept-Encoding names gzip and does not weigh
// it with zero (RFC 9110, 12.5.3).
func acceptsGzip(header string) bool {
	for c := range strings.SplitSeq(header, ",") {
		name, weight, _ := strings.Cut(c, ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		q, ok := strings.CutPrefix(strings.ReplaceAll(weight, " ", ""), "q=")
		return !ok || strings.Trim(q, "0.") != ""
	}
	return false
}
