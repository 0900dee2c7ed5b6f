package sources

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// Content says how much of what an agent read and wrote leaves the machine.
type Content uint8

const (
	// ContentFull sends prompts, code, tool inputs and outputs, cut to a bound.
	ContentFull Content = iota
	// ContentMeta sends names, sizes, hashes, times and usage, and no text that a person, a model or a tool wrote.
	ContentMeta
)

// String returns the word that ParseContent takes.
func (c Content) String() string {
	if c == ContentMeta {
		return "meta"
	}
	return "full"
}

// ParseContent reads "full", "meta" or "" (the default for that server).
func ParseContent(s, server string) (Content, error) {
	switch s {
	case "":
		return DefaultContent(server), nil
	case "full":
		return ContentFull, nil
	case "meta":
		return ContentMeta, nil
	}
	return ContentMeta, fmt.Errorf("content: got %q, want full or meta", s)
}

// DefaultContent is full for a server on this machine's loopback and meta for any other, so that code and
// prompts never leave the machine unless asked. A name other than localhost is not looked up: it counts as other.
func DefaultContent(server string) Content {
	if isLoopback(server) {
		return ContentFull
	}
	return ContentMeta
}

func isLoopback(server string) bool {
	if !strings.Contains(server, "://") {
		server = "ws://" + server
	}
	u, err := url.Parse(server)
	if err != nil {
		return false
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
