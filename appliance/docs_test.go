package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// TestDocsNameEveryFlag holds docs/cli.md to the command line. Each command has
// a section of its name, and each of its flags a line in a table, with default
// and the words of --help: in that section, in the one of the command above it,
// or in the one on what every client verb takes. No table has a flag that is not.
func TestDocsNameEveryFlag(t *testing.T) {
	var c command
	k, err := newParser(&c, "USER@HOST")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]bool{}
	lines := map[line]bool{} // by whether a command has it
	section, example := "", false
	for l := range strings.Lines(string(text)) {
		l = strings.TrimSuffix(l, "\n")
		switch name := strings.TrimLeft(l, "#"); {
		case strings.HasPrefix(l, "```"):
			example = !example
		case !example && name != l:
			section = strings.TrimSpace(name)
			sections[section] = true
		case strings.HasPrefix(l, "| `-"):
			lines[line{section, l}] = false
		}
	}
	commands := 0
	var visit func(n *kong.Node, above string)
	visit = func(n *kong.Node, above string) {
		for _, child := range n.Children {
			if child.Hidden {
				continue
			}
			name := strings.TrimSpace(above + " " + child.Name)
			visit(child, name)
			if child.Leaf() {
				commands++
				if !sections[name] {
					t.Errorf("there is no section %q", name)
				}
			}
			for _, f := range child.Flags {
				if f.Name == "help" {
					continue
				}
				in := []line{{name, flagLine(f)}, {above, flagLine(f)}, {"What every client verb takes", flagLine(f)}}
				i := slices.IndexFunc(in, func(l line) bool { _, ok := lines[l]; return ok })
				if i < 0 {
					t.Errorf("section %q lacks\n%s", name, flagLine(f))
					continue
				}
				lines[in[i]] = true
			}
		}
	}
	visit(k.Model.Node, "")
	if commands < 19 {
		t.Errorf("%d commands were looked at", commands)
	}
	for l, real := range lines {
		if !real {
			t.Errorf("section %q has what no command of it takes:\n%s", l.section, l.text)
		}
	}
}

// line is one of docs/cli.md.
type line struct{ section, text string }

// flagLine is how a table has a flag.
func flagLine(f *kong.Flag) string {
	name := "--" + f.Name
	if f.Short != 0 {
		name = "-" + string(f.Short) + ", " + name
	}
	if !f.IsBool() {
		if f.PlaceHolder != "" {
			name += " " + f.PlaceHolder
		} else {
			name += " TEXT"
		}
		if f.IsSlice() && f.Tag.Sep != -1 {
			name += ",…"
		}
	}
	def := ""
	if f.Default != "" {
		def = "`" + f.Default + "`"
	}
	return "| `" + name + "` | " + def + " | " + strings.ReplaceAll(f.Help, "|", `\|`) + " |"
}
