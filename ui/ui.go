package ui

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

const (
	indexFile       = "index.html"
	placeholderFile = "placeholder.html"
)

// FS returns the files of the front end, index.html at the root.
// Without built pages it is a file system whose index.html is the placeholder.
func FS() fs.FS {
	sub, err := fs.Sub(dist, "dist")
	if err != nil {
		panic("ui: the embedded folder dist is missing: " + err.Error()) // the embed directive guarantees it
	}
	return withIndex(sub)
}

// Built reports whether the binary carries the built pages.
func Built() bool {
	_, err := fs.Stat(dist, "dist/"+indexFile)
	return err == nil
}

// withIndex answers index.html with the placeholder when files has none.
func withIndex(files fs.FS) fs.FS {
	if _, err := fs.Stat(files, indexFile); err == nil {
		return files
	}
	return placeholderFS{files}
}

type placeholderFS struct{ fs.FS }

func (p placeholderFS) Open(name string) (fs.File, error) {
	if name == indexFile {
		name = placeholderFile
	}
	return p.FS.Open(name)
}
