package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// serverFlags are what every client verb takes.
type serverFlags struct {
	Server string `default:"http://127.0.0.1:7600" placeholder:"URL" help:"The running eyrie: its ingest or web address."`
	Key    string `placeholder:"KEY" help:"Key to use; without it, the one in the data folder of this machine."`
	Data   string `default:"./eyrie-data" placeholder:"DIR" help:"Data folder in which to look for the key."`
}

// base returns the server's URL without a trailing slash.
func (s *serverFlags) base() (*url.URL, error) {
	raw := s.Server
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	u, err := url.Parse(strings.TrimRight(raw, "/"))
	if err != nil || u.Host == "" {
		return nil, exit(exitUsage, "--server: %q is not a URL such as http://127.0.0.1:7600", s.Server)
	}
	switch u.Scheme {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	case "http", "https":
	default:
		return nil, exit(exitUsage, "--server: the scheme %q is not http, https, ws or wss", u.Scheme)
	}
	return u, nil
}

// key returns the key to use: given, or the standing one of the wanted name,
// or the operator's.
func (s *serverFlags) key(want string) (string, error) {
	if s.Key != "" {
		return s.Key, nil
	}
	for _, name := range []string{want, "operator"} {
		b, err := os.ReadFile(filepath.Join(s.Data, "keys", name))
		if err == nil {
			return strings.TrimSpace(string(b)), nil
		}
	}
	return "", exit(exitUsage, "no key: set EYRIE_KEY or --key, or name the data folder of the eyrie on this machine with --data (looked in %s)", filepath.Join(s.Data, "keys"))
}

// viewsWait bounds how long a verb waits for a server that has just started to load
// its views.
const viewsWait = 2 * time.Minute

// call makes one request as the holder of the standing key named, and decodes a
// JSON answer into out. Where the server is loading its views it waits.
func (s *serverFlags) call(ctx context.Context, keyName, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, viewsWait)
	defer cancel()
	for told := false; ; told = true {
		err := s.once(ctx, keyName, method, path, in, out)
		var l *loadingError
		if !errors.As(err, &l) {
			return err
		}
		if !told {
			fmt.Fprintf(os.Stderr, "eyrie: %s\n", plain(l.detail))
		}
		select {
		case <-ctx.Done():
			return exit(exitFailed, "%s", l.detail)
		case <-time.After(l.again):
		}
	}
}

// loadingError says that what was asked for needs views that are not loaded yet.
type loadingError struct {
	detail string
	again  time.Duration
}

func (e *loadingError) Error() string { return e.detail }

// once is call without a wait.
func (s *serverFlags) once(ctx context.Context, keyName, method, path string, in, out any) error {
	u, err := s.base()
	if err != nil {
		return err
	}
	key, err := s.key(keyName)
	if err != nil {
		return err
	}
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, u.String()+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+key)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return exit(exitServer, "no eyrie answers at %s: %v", u, unwrapURL(err))
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return exit(exitServer, "the answer of %s broke off: %v", u, err)
	}
	if resp.StatusCode >= 300 {
		var p struct{ Code, Detail, Field string }
		if json.Unmarshal(b, &p) != nil || p.Detail == "" {
			p.Detail = resp.Status
		}
		if resp.StatusCode == http.StatusServiceUnavailable && p.Code == "views_loading" {
			again, err := strconv.Atoi(resp.Header.Get("Retry-After"))
			if err != nil || again < 1 {
				again = 1
			}
			return &loadingError{p.Detail, time.Duration(again) * time.Second}
		}
		code := exitFailed
		if resp.StatusCode == 401 || resp.StatusCode == 403 {
			code = exitServer
		}
		if p.Field != "" {
			return exit(code, "%s: %s", p.Field, p.Detail)
		}
		return exit(code, "%s", p.Detail)
	}
	if out == nil || len(b) == 0 {
		return nil
	}
	return json.Unmarshal(b, out)
}

func unwrapURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func printJSON(v any) error {
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// printLine prints v as one line of JSON.
func printLine(v any) error { return json.NewEncoder(os.Stdout).Encode(v) }

// plain makes text from agents fit to print: control characters, which could
// move a terminal's cursor, and bidirectional overrides come out as \u escapes.
func plain(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0,
			r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200e, r == 0x200f, r == 0x061c:
			fmt.Fprintf(&b, "\\u%04x", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
