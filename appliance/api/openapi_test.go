package api

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// The document and the routes are the same table: methods, paths, and which of
// them need no key.
func TestOpenAPIEqualsRoutes(t *testing.T) {
	documented := map[string]bool{}
	for _, o := range operations {
		k := o.method + " " + wildcards.ReplaceAllString(o.path, "*")
		if _, twice := documented[k]; twice {
			t.Errorf("%s is documented twice", k)
		}
		documented[k] = o.open
		if o.summary == "" || o.answer == "" {
			t.Errorf("%s has no summary or answer", k)
		}
	}
	s := &Server{}
	for _, r := range s.table() {
		k := r.method + " /" + strings.Join(r.pattern, "/")
		open, ok := documented[k]
		if !ok {
			t.Errorf("%s is not documented", k)
		}
		if open != (r.min == "") {
			t.Errorf("%s: documented as open: %v, needs the role %q", k, open, r.min)
		}
		delete(documented, k)
	}
	if len(documented) > 0 {
		t.Errorf("documented, but no route: %v", slices.Collect(maps.Keys(documented)))
	}
}

// Every parameter that is named is explained, and the other way round.
func TestOpenAPIParameters(t *testing.T) {
	unused := maps.Clone(parameters)
	for _, o := range operations {
		for _, p := range strings.Fields(o.params) {
			if parameters[p] == "" {
				t.Errorf("%s %s: the parameter %s is not explained", o.method, o.path, p)
			}
			delete(unused, p)
		}
	}
	if len(unused) > 0 {
		t.Errorf("explained, but on no route: %v", unused)
	}
	for _, typed := range [][]string{slices.Collect(maps.Keys(kinds)), slices.Collect(maps.Keys(choices))} {
		for _, p := range typed {
			if parameters[p] == "" {
				t.Errorf("%s has a type, but is no parameter", p)
			}
		}
	}
}

func TestOpenAPIDocument(t *testing.T) {
	b, err := openapiDocument((&Server{}).table())
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			Summary    string
			Parameters []struct{ Name, In string }
			Responses  map[string]any
		}
	}
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	n := 0
	for path, methods := range d.Paths {
		for m, op := range methods {
			n++
			in := 0
			for _, p := range op.Parameters {
				if p.In == "path" {
					in++
				}
			}
			if strings.HasPrefix(path, "/v1/agents") != (op.Responses["503"] != nil) && (strings.HasPrefix(path, "/v1/agents") || path == "/v1/events") {
				t.Errorf("%s %s: 503 is documented: %v", m, path, op.Responses["503"] != nil)
			}
			if in != strings.Count(path, "{") || op.Responses["200"] == nil || op.Responses["default"] == nil {
				t.Errorf("%s %s: %+v", m, path, op)
			}
		}
	}
	if d.OpenAPI != "3.1.0" || n != len(operations) {
		t.Errorf("version %q, %d operations, want %d", d.OpenAPI, n, len(operations))
	}
}
