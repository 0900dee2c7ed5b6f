package workload

import (
	"embed"
	"strings"
)

//go:embed files
var shipped embed.FS

// Shipped returns the file of a workload that comes with eyrie.
func Shipped(name string) ([]byte, bool) {
	b, err := shipped.ReadFile("files/" + name + ".yaml")
	return b, err == nil
}

// ShippedNames are the names of those that come with eyrie, in the order of the alphabet.
func ShippedNames() (names []string) {
	all, _ := shipped.ReadDir("files") // it is part of the binary
	for _, e := range all {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return names
}
