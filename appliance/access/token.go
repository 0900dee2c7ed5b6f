package access

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"eyrie/engine"
)

// AnySpace is the space of a key that may read every space.
const AnySpace = "*"

// DefaultSpace is where events of a key without a space of its own go.
const DefaultSpace = "main"

// Token is what is known of one key. The key itself is not kept.
type Token struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Role    Role     `json:"role"`
	Space   string   `json:"space"`            // AnySpace for all
	Agents  []string `json:"agents,omitempty"` // glob patterns of agent ids; none means any
	Hash    string   `json:"sha256"`           // of the key, hex
	Created int64    `json:"created_ms"`       // Unix ms
	Expires int64    `json:"expires_ms,omitempty"`
	Revoked int64    `json:"revoked_ms,omitempty"`
}

// Valid reports whether t admits at the instant now.
func (t *Token) Valid(now time.Time) bool {
	ms := now.UnixMilli()
	return t.Revoked == 0 && (t.Expires == 0 || ms < t.Expires)
}

// Writes returns the space that events sent with t go to.
func (t *Token) Writes() string {
	if t.Space == AnySpace {
		return DefaultSpace
	}
	return t.Space
}

// Reads reports whether t may read the given space.
func (t *Token) Reads(space string) bool { return t.Space == AnySpace || t.Space == space }

// Speaks reports whether t may speak for the given agent id.
func (t *Token) Speaks(agent string) bool {
	if len(t.Agents) == 0 {
		return true
	}
	for _, p := range t.Agents {
		if engine.Match(p, agent) { // as a link's Grant is read
			return true
		}
	}
	return false
}

// hash returns the hex SHA-256 of a key, surrounding white space left out.
func hash(key string) string {
	s := sha256.Sum256([]byte(strings.TrimSpace(key)))
	return hex.EncodeToString(s[:])
}
