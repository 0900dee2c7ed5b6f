// Package ui holds the built front end as a file system.
//
// It owns the embedding only: the sources lie in src and are built by vite
// into dist, which is not committed. Serving, caching and headers belong to
// the API. A clean clone has only dist/placeholder.html; FS then shows that
// page as index.html, so that `go build` needs no Node.
// FS may be called concurrently.
package ui
