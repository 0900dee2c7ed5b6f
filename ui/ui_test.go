package ui

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

func TestPlaceholderStandsInForIndex(t *testing.T) {
	files := withIndex(fstest.MapFS{placeholderFile: {Data: []byte("make ui")}})
	got, err := fs.ReadFile(files, indexFile)
	if err != nil || string(got) != "make ui" {
		t.Fatalf("index.html: got %q, %v; want the placeholder", got, err)
	}
	if _, err := files.Open("missing.js"); err == nil {
		t.Fatal("missing.js: got a file, want an error")
	}
}

func TestBuiltIndexIsServedAsIs(t *testing.T) {
	files := withIndex(fstest.MapFS{
		indexFile:       {Data: []byte("app")},
		placeholderFile: {Data: []byte("make ui")},
	})
	got, err := fs.ReadFile(files, indexFile)
	if err != nil || string(got) != "app" {
		t.Fatalf("index.html: got %q, %v; want the built page", got, err)
	}
}

func TestEmbeddedFilesAlwaysHaveAnIndex(t *testing.T) {
	got, err := fs.ReadFile(FS(), indexFile)
	if err != nil {
		t.Fatal(err)
	}
	if !Built() && !strings.Contains(string(got), "make ui") {
		t.Fatalf("the placeholder does not say how to build the pages: %q", got)
	}
}
