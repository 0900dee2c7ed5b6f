package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"mime"
	"path"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/valyala/fasthttp"
)

// csp lets the page load nothing but its own files and talk to its own host.
const csp = "default-src 'self'; img-src 'self' data:; style-src 'self'; script-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"

// file is one built file of the front end, ready to send.
type file struct {
	body, zipped []byte
	kind, etag   string
	immutable    bool
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
			var z bytes.Buffer
			w, _ := gzip.NewWriterLevel(&z, gzip.BestCompression)
			if _, err := w.Write(b); err != nil {
				return err
			}
			if err := w.Close(); err != nil {
				return err
			}
			x.zipped = z.Bytes()
		}
		out.byPath["/"+p] = x
		return nil
	})
	out.index = out.byPath["/index.html"]
	return out, err
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
	h.Set("ETag", x.etag)
	h.Set("Content-Security-Policy", csp)
	h.Set("Vary", "Accept-Encoding")
	if x.immutable {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "no-cache")
	}
	if string(ctx.Request.Header.Peek("If-None-Match")) == x.etag {
		ctx.SetStatusCode(304)
		return
	}
	ctx.SetContentType(x.kind)
	if x.zipped != nil && ctx.Request.Header.HasAcceptEncoding("gzip") {
		h.Set("Content-Encoding", "gzip")
		ctx.SetBody(x.zipped)
		return
	}
	ctx.SetBody(x.body)
}
