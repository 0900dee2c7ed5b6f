package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

func parse(t *testing.T, f *File, args ...string) (*Config, *kong.Context) {
	t.Helper()
	var c Config
	opts := []kong.Option{kong.Name("serve"), kong.DefaultEnvars("EYRIE")}
	if f != nil {
		opts = append(opts, kong.Resolvers(f))
	}
	k, err := kong.New(&c, opts...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, err := k.Parse(args)
	if err != nil {
		t.Fatal(err)
	}
	return &c, ctx
}

func TestDefaultsAreValid(t *testing.T) {
	c, _ := parse(t, nil)
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
}

// A flag goes before a variable, a variable before the file, the file before
// the default.
func TestPrecedence(t *testing.T) {
	f, err := ParseFile("eyrie.yaml", []byte("data: /from/file\nweb: 127.0.0.1:1\ningest: 127.0.0.1:2\nsave-every: 3s\nlisten-all: true\n"))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("EYRIE_WEB", "127.0.0.1:3")
	t.Setenv("EYRIE_INGEST", "127.0.0.1:4")
	c, ctx := parse(t, f, "--ingest", "127.0.0.1:5")
	for _, e := range []struct{ key, got, want string }{
		{"ingest", c.Ingest, "127.0.0.1:5"},
		{"web", c.Web, "127.0.0.1:3"},
		{"data", c.Data, "/from/file"},
		{"save-every", c.Save.String(), "3s"},
		{"log-level", c.LogLevel, "info"},
	} {
		if e.got != e.want {
			t.Errorf("%s: got %s, want %s", e.key, e.got, e.want)
		}
	}
	if !c.ListenAll {
		t.Error("listen-all: the file's true was not taken")
	}
	from := map[string]string{}
	for _, v := range Values(c, ctx, f, []Tuned{{"loops", "2", "one per core"}}) {
		from[v.Key] = v.From
	}
	for key, want := range map[string]string{"ingest": "flag", "web": "variable EYRIE_WEB", "data": "file eyrie.yaml", "log-level": "default", "loops": "tuned"} {
		if from[key] != want {
			t.Errorf("origin of %s: got %q, want %q", key, from[key], want)
		}
	}
}

func TestPrintIsAFile(t *testing.T) {
	c, ctx := parse(t, nil, "--data", "/a b/#c")
	var b strings.Builder
	if err := Print(&b, Values(c, ctx, nil, []Tuned{{"descriptors", "20000", "the hard limit"}})); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "# descriptors: 20000") {
		t.Errorf("what was chosen beside the keys is not shown:\n%s", b.String())
	}
	f, err := ParseFile("printed", []byte(b.String()))
	if err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	c2, _ := parse(t, f)
	if *c2 != *c {
		t.Errorf("read back\n%+v\nwant\n%+v", *c2, *c)
	}
}

// Each file in testdata is one mistake; its first line, a comment, is what the
// error must say.
func TestMistakes(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.yaml")
	if len(files) == 0 {
		t.Fatal("no mistakes to test")
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(b), "\n")
		want := strings.TrimPrefix(first, "# ")
		f, err := ParseFile(name, b)
		if err == nil {
			var c Config
			k, _ := kong.New(&c, kong.Resolvers(f))
			if _, err = k.Parse(nil); err == nil {
				err = c.Check()
			}
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want one with %q", name, err, want)
		}
	}
}

func TestListenAll(t *testing.T) {
	c := Config{Ingest: "127.0.0.1:7600", Web: "10.1.2.3:80", ListenAll: true}
	if i, w := c.Addresses(); i != ":7600" || w != "10.1.2.3:80" {
		t.Errorf("got %s %s, want :7600 and the address that was named", i, w)
	}
}
