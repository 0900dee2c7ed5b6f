package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"strconv"
	"strings"
	"sync"
	"time"

	"eyrie/appliance/access"
	"eyrie/appliance/views/blobs"
	"eyrie/engine/wire"
	"eyrie/wal/blob"

	"github.com/valyala/fasthttp"
)

// Bounds of what blobs under way take of the memory: so many requests with a
// body larger than others may have, and so many answers that are as large.
const (
	blobBodiesMax  = 8
	blobAnswersMax = 8
	blobBodyTime   = 60 * time.Second
	blobWait       = 5 * time.Second
	blobSmall      = 256 << 10 // as large as any event; not counted
)

const blobsPath = "/v1/blobs"

// blobTraffic bounds it.
type blobTraffic struct {
	answers chan struct{}
	mu      sync.Mutex
	bodies  map[*fasthttp.RequestHeader]time.Time // until when at the latest
}

func newBlobTraffic() *blobTraffic {
	return &blobTraffic{answers: make(chan struct{}, blobAnswersMax), bodies: map[*fasthttp.RequestHeader]time.Time{}}
}

// admit is asked before a body is read: who may put blobs may send large ones.
// A place is taken until leave, or until the time to read the body is over.
func (s *Server) admit(h *fasthttp.RequestHeader) (c fasthttp.RequestConfig) {
	if path := string(h.RequestURI()); path != blobsPath && !strings.HasPrefix(path, blobsPath+"/") || h.ContentLength() <= bodyBytesMax || h.ContentLength() > wire.MaxBlob {
		return c
	}
	scheme, key, _ := strings.Cut(string(h.Peek("Authorization")), " ")
	if t, ok := s.p.Keys.Check(strings.TrimSpace(key)); !ok || !strings.EqualFold(scheme, "Bearer") || !t.Role.Includes(access.Agent) {
		return c
	}
	now, b := time.Now(), s.blobs // a deadline of a socket
	b.mu.Lock()
	defer b.mu.Unlock()
	for h, until := range b.bodies {
		if now.After(until) {
			delete(b.bodies, h)
		}
	}
	if len(b.bodies) >= blobBodiesMax {
		return c
	}
	b.bodies[h] = now.Add(blobBodyTime)
	return fasthttp.RequestConfig{MaxRequestBodySize: wire.MaxBlob, ReadTimeout: blobBodyTime}
}

func (b *blobTraffic) leave(h *fasthttp.RequestHeader) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.bodies, h)
}

// tooLarge tells what a body that was not read means.
func (s *Server) tooLarge(ctx *fasthttp.RequestCtx) *Problem {
	n := ctx.Request.Header.ContentLength()
	if !strings.HasPrefix(string(ctx.Request.Header.RequestURI()), blobsPath) {
		return problem(413, "too_large", "The request's body is larger than 4 MiB.")
	}
	if n < 0 || n > wire.MaxBlob {
		return problem(413, "too_large", "A blob has at most 16 MiB, and above 4 MiB a Content-Length.")
	}
	q := &req{RequestCtx: ctx, s: s}
	q.identify()
	if !q.ok {
		return problem(401, "key_unknown", "A key is needed: Authorization: Bearer KEY.")
	}
	return problem(503, "busy", "Too many large blobs are under way. Send it again.")
}

// named is the answer to a blob that was put: what stands for it in an event.
type named struct {
	Blob string `json:"$blob"`
	Size int    `json:"size"`
	Type string `json:"type"`
}

// blobType is the media type that a blob is put with, "" for none or nonsense.
func blobType(header string) string {
	kind, params, err := mime.ParseMediaType(header)
	if err != nil {
		return ""
	}
	if s := mime.FormatMediaType(kind, params); len(s) <= 255 {
		return s
	}
	return ""
}

// postBlob keeps the body as a blob of the key's space.
func (q *req) postBlob() error { return q.storeBlob(nil) }

// putBlob does so where the body has the SHA-256 in the path.
func (q *req) putBlob() error {
	sum, err := q.blobSum()
	if err != nil {
		return err
	}
	return q.storeBlob(&sum)
}

func (q *req) blobSum() (sum [32]byte, err error) {
	sum, ok := wire.ParseSHA256(q.args[0])
	if !ok {
		return sum, badField("sha256", "want 64 lower-case hexadecimal digits")
	}
	return sum, nil
}

func (q *req) storeBlob(want *[32]byte) error {
	if err := q.s.p.Log.Wall(); err != nil {
		return err
	}
	content := q.PostBody()
	if want != nil {
		if got := sha256.Sum256(content); got != *want {
			return badField("sha256", "the body's SHA-256 is "+hex.EncodeToString(got[:]))
		}
	}
	kind := blobType(string(q.Request.Header.ContentType()))
	k, err := q.s.p.Blobs.Put(q.who.Writes(), kind, content)
	if err != nil {
		return err
	}
	return q.json(named{Blob: k.String(), Size: len(content), Type: kind})
}

// shown are the types that a browser may show within eyrie's own origin: none of
// them can run anything. All else it can but save.
var shown = map[string]bool{"image/png": true, "image/jpeg": true, "image/gif": true, "image/webp": true, "image/avif": true, "text/plain": true}

// getBlob answers a blob's content.
func (q *req) getBlob() error {
	sum, err := q.blobSum()
	if err != nil {
		return err
	}
	space, err := q.space()
	if err != nil {
		return err
	}
	if space == "" {
		space = q.who.Writes()
	}
	k := blob.Key{Space: space, Sum: sum}
	st, err := q.s.p.Blobs.Stat(k)
	if err != nil {
		return err
	}
	etag := `"` + k.String() + `"`
	switch {
	case noneMatch(string(q.Request.Header.Peek("If-None-Match")), etag):
		q.describe(st, etag)
		q.SetStatusCode(304)
		return nil
	case q.IsHead():
		q.describe(st, etag)
		q.Response.SkipBody = true
		q.Response.Header.SetContentLength(int(st.Size))
		return nil
	}
	from, to, part, err := q.blobRange(int(st.Size), etag)
	if err != nil {
		return err
	}
	leave, err := q.s.blobs.answer(q, st.Size)
	if err != nil {
		return err
	}
	b, err := q.s.p.Blobs.Get(k)
	if err != nil {
		leave()
		return err
	}
	q.describe(st, etag)
	if part {
		q.SetStatusCode(206)
		q.Response.Header.SetContentRange(from, to-1, int(st.Size))
	}
	q.SetBodyStream(&answering{Reader: bytes.NewReader(b.Content[from:to]), leave: leave}, to-from)
	return nil
}

// describe sets the header fields of a blob. What an agent has put must never
// run as a page of eyrie's own.
func (q *req) describe(b *blob.Blob, etag string) {
	kind, _, _ := mime.ParseMediaType(b.Kind)
	disposition := "attachment"
	if shown[kind] {
		disposition = "inline"
	}
	if kind == "" {
		b.Kind = "application/octet-stream"
	}
	q.SetContentType(b.Kind)
	h := &q.Response.Header
	h.Set("ETag", etag)
	h.Set("Cache-Control", "private, max-age=31536000, immutable")
	h.Set("Vary", "Authorization, Cookie")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Disposition", disposition+`; filename="`+b.Key.String()[:16]+`"`)
	h.Set("Accept-Ranges", "bytes")
}

// blobRange returns which bytes are asked for. More ranges than one count as none.
func (q *req) blobRange(size int, etag string) (from, to int, part bool, err error) {
	r := q.Request.Header.Peek("Range")
	if len(r) == 0 || size == 0 || bytes.Contains(r, []byte(",")) {
		return 0, size, false, nil
	}
	if c := string(q.Request.Header.Peek("If-Range")); c != "" && c != etag {
		return 0, size, false, nil
	}
	from, last, err := fasthttp.ParseByteRange(r, size)
	if err != nil {
		all := strconv.Itoa(size)
		q.Response.Header.Set("Content-Range", "bytes */"+all)
		return 0, 0, false, problem(416, "range", "The blob has "+all+" bytes.")
	}
	return from, last + 1, true, nil
}

// answer takes a place for an answer of that size, until it is sent.
func (b *blobTraffic) answer(ctx context.Context, size int64) (leave func(), err error) {
	if size <= blobSmall {
		return func() {}, nil
	}
	t := time.NewTimer(blobWait)
	defer t.Stop()
	select {
	case b.answers <- struct{}{}:
		return sync.OnceFunc(func() { <-b.answers }), nil
	case <-t.C:
	case <-ctx.Done():
	}
	return nil, problem(503, "busy", "Too many large blobs are under way. Ask again.")
}

// answering is a body that is let go once it is sent, or cannot be.
type answering struct {
	io.Reader
	leave func()
}

func (a *answering) Close() error {
	a.leave()
	return nil
}

// judgeBlobs refuses an event that names a blob which is not there.
func (q *req) judgeBlobs(h *wire.Head, payload []byte) (*wire.FieldError, error) {
	if !h.Blob {
		return nil, nil
	}
	return blobs.Judge(q.s.p.Blobs, q.who.Writes(), payload)
}

func blobProblem(err error) *Problem {
	switch {
	case errors.Is(err, blob.ErrNotFound):
		return problem(404, "not_found", "There is no such blob in this space.")
	case errors.Is(err, blob.ErrDamaged):
		return problem(500, "blob_damaged", "The blob is damaged on the server's disk; eyrie verify names it. Who has its content may put it again.")
	case errors.Is(err, blob.ErrTooLarge):
		return problem(413, "too_large", "A blob has at most 16 MiB.")
	}
	return nil
}
