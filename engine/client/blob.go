package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"eyrie/engine/wire"
)

// ErrBlobTooLarge is returned by PutBlob for more than wire.MaxBlob bytes.
var ErrBlobTooLarge = fmt.Errorf("client: a blob has at most %d bytes", wire.MaxBlob)

// blobTime bounds one try to put a blob.
const blobTime = 90 * time.Second

// PutBlob keeps content on the server and returns, once it is durable there, what
// names it: an event sent afterwards may have its Value in place of a value. kind
// is a media type, "" where none is known. Where the server is away, busy or full
// it tries again until ctx ends, as often as it does for a link; a *RefusedError is final.
//
// A blob that no event names goes after a day. The server refuses an event that
// names one it does not have with the code "blob": then put it anew.
func (c *Client) PutBlob(ctx context.Context, kind string, content []byte) (wire.Blob, error) {
	b := wire.Blob{SHA256: sha256.Sum256(content), Size: int64(len(content)), Type: kind}
	if len(content) > wire.MaxBlob {
		return b, ErrBlobTooLarge
	}
	u, err := target(c.opt.URL)
	if err != nil {
		return b, err
	}
	u.Scheme = strings.Replace(u.Scheme, "ws", "http", 1)
	u.Path, u.RawPath, u.RawQuery = "/v1/blobs/"+hex.EncodeToString(b.SHA256[:]), "", ""
	// A transport of its own, so that no idle connection outlives the call.
	tr := &http.Transport{DialContext: c.opt.NetDial, TLSClientConfig: c.opt.TLS, DisableKeepAlives: true}
	wait := 100 * time.Millisecond
	for {
		again, after, err := c.putBlob(ctx, tr, u, kind, content)
		if err == nil || !again {
			return b, err
		}
		t := time.NewTimer(max(wait, after))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return b, fmt.Errorf("client: blob: %w; the last try: %w", context.Cause(ctx), err)
		case <-c.done:
			t.Stop()
			return b, fmt.Errorf("client: blob: %w; the last try: %w", ErrClosed, err)
		}
		wait = min(2*wait, 15*time.Second)
	}
}

// putBlob tries once; again tells whether a failure may pass, and after what time.
func (c *Client) putBlob(ctx context.Context, tr *http.Transport, u *url.URL, kind string, content []byte) (again bool, after time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, blobTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, u.String(), bytes.NewReader(content))
	if err != nil {
		return false, 0, err
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if c.opt.Key != "" {
		req.Header.Set("Authorization", "Bearer "+c.opt.Key)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return true, 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		_, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 16<<10))
		return true, 0, err
	}
	refused := &RefusedError{Status: resp.StatusCode, Msg: resp.Status}
	refused.detail(resp.Body)
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusInsufficientStorage:
		return true, retryAfter(resp.Header.Get("Retry-After"), c.opt.Now()), refused
	}
	return resp.StatusCode >= 500, 0, refused
}
