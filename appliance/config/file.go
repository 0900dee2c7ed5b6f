package config

import (
	"fmt"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
)

// File is the parsed configuration file. The zero value is a file without a
// key.
type File struct {
	Path   string
	values map[string]any
}

// ReadFile reads the YAML file at path. A key that does not exist is refused
// with its line and the text around it.
func ReadFile(path string) (*File, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return ParseFile(path, b)
}

// ParseFile is ReadFile on bytes already read; path is used in errors alone.
func ParseFile(path string, b []byte) (*File, error) {
	var c Config
	if err := yaml.UnmarshalWithOptions(b, &c, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("%s: %s", path, yaml.FormatError(err, false, true))
	}
	f := &File{Path: path, values: make(map[string]any)}
	if err := yaml.Unmarshal(b, &f.values); err != nil {
		return nil, fmt.Errorf("%s: %s", path, yaml.FormatError(err, false, true))
	}
	return f, nil
}

// Has reports whether the file sets key.
func (f *File) Has(key string) bool {
	_, ok := f.values[key]
	return ok
}

// Validate implements kong.Resolver.
func (f *File) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver: the value of a flag that neither the
// command line nor the environment sets.
func (f *File) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if variable, _ := lookupVariable(flag.Name); variable {
		return nil, nil
	}
	v, ok := f.values[flag.Name]
	if !ok {
		return nil, nil
	}
	return fmt.Sprint(v), nil
}

// Variable returns the name of the environment variable of a key.
func Variable(key string) string {
	return "EYRIE_" + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
}

func lookupVariable(key string) (bool, string) {
	v, ok := os.LookupEnv(Variable(key))
	return ok, v
}
