package main

import (
	"go/parser"
	gotoken "go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// levels is the house of docs/architecture.md: a package imports only packages
// of a lower level. The longest prefix wins; a package below no entry has no
// level and fails the test.
var levels = map[string]int{
	"netpoll": 0, "engine/admit": 0, "engine/ring": 0, "engine/wire": 0, "docs/model": 0, "wal/block": 0, "wal/stretch": 0, "tsdb/chunk": 0, "ui": 0,
	"appliance/audit": 0, "appliance/capacity": 0, "appliance/config": 0, "appliance/forget": 0, "appliance/obs": 0, "appliance/query": 0,
	"wal": 1, "tsdb": 1, "engine": 1, "engine/client": 1,
	"appliance/access": 2, "appliance/intake": 2, "appliance/views": 2, "appliance/outlets": 2,
	"appliance/sources": 2, "appliance/prom": 2,
	"appliance/api": 3, "appliance/vault": 3, "appliance/sim": 4, "appliance/node": 4, "appliance": 5,
}

// free are packages that no level binds: they may import any package but main
// and are imported by main and tests alone.
var free = []string{"bench"}

// within are rooms whose packages may import each other: the subpackages share
// the types of the room itself.
var within = []string{"netpoll", "wal", "appliance/sources"}

func sameRoom(a, b string) bool {
	for _, r := range within {
		if strings.HasPrefix(a+"/", r+"/") && strings.HasPrefix(b+"/", r+"/") {
			return true
		}
	}
	return false
}

func level(pkg string) (int, bool) {
	for p := pkg; p != "."; p = path.Dir(p) {
		if l, ok := levels[p]; ok {
			return l, true
		}
	}
	return 0, false
}

func isFree(pkg string) bool {
	for _, f := range free {
		if pkg == f || strings.HasPrefix(pkg, f+"/") {
			return true
		}
	}
	return false
}

type goPackage struct {
	imports map[string]string // of eyrie, to the file that does
	doc     int               // files with a package comment
	docRows int
}

func packages(t *testing.T) map[string]*goPackage {
	t.Helper()
	pkgs := make(map[string]*goPackage)
	root := ".."
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch d.Name() {
			case "testdata", "node_modules", ".git", "bin", "dist":
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		src, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(gotoken.NewFileSet(), p, src, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(p))
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(rel)
		g := pkgs[pkg]
		if g == nil {
			g = &goPackage{imports: make(map[string]string)}
			pkgs[pkg] = g
		}
		if f.Doc != nil {
			g.doc++
			g.docRows += strings.Count(strings.TrimSpace(f.Doc.Text()), "\n") + 1
		}
		for _, imp := range f.Imports {
			s, _ := strconv.Unquote(imp.Path.Value)
			if rest, ok := strings.CutPrefix(s, "eyrie/"); ok {
				g.imports[rest] = p
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(pkgs) < 10 {
		t.Fatalf("only %d packages found: the test looks in the wrong place", len(pkgs))
	}
	return pkgs
}

func TestImportsRunDownward(t *testing.T) {
	for pkg, g := range packages(t) {
		if isFree(pkg) {
			for imp, file := range g.imports {
				if imp == "appliance" {
					t.Errorf("%s: %s imports package main", file, pkg)
				}
			}
			continue
		}
		l, ok := level(pkg)
		if !ok {
			t.Errorf("%s has no level in the house", pkg)
			continue
		}
		for imp, file := range g.imports {
			if isFree(imp) {
				if pkg != "appliance" {
					t.Errorf("%s: %s imports %s, which only main may", file, pkg, imp)
				}
				continue
			}
			li, _ := level(imp)
			if li >= l && !sameRoom(pkg, imp) {
				t.Errorf("%s: %s (level %d) imports %s (level %d)", file, pkg, l, imp, li)
			}
		}
	}
}

func TestEveryPackageHasADoc(t *testing.T) {
	for pkg, g := range packages(t) {
		switch {
		case g.doc != 1:
			t.Errorf("%s: %d package comments, want 1", pkg, g.doc)
		case g.docRows > 12:
			t.Errorf("%s: package comment of %d lines; if it needs more than ten, the package is wrong", pkg, g.docRows)
		}
	}
}
