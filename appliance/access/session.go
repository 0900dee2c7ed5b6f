package access

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"
)

// SessionCookie is the name of the cookie that holds a signed-in browser's
// session.
const SessionCookie = "eyrie_session"

// SessionLife is how long a session lasts.
const SessionLife = 30 * 24 * time.Hour

// A session is: base64url(expiry, Unix s, 8 bytes big endian | HMAC-SHA256 over
// expiry, hash of the key and token id, 32 bytes) "." token id. The key itself is
// not in it. Revoking the token ends it, and so does another key under the same
// id, as when a standing key's file was deleted.

// Session returns a cookie value for a token and the instant it expires.
func (k *Keys) Session(t Token) (value string, expires time.Time) {
	expires = k.now().Add(SessionLife)
	var b [8 + sha256.Size]byte
	binary.BigEndian.PutUint64(b[:], uint64(expires.Unix()))
	copy(b[8:], k.sign(b[:8], &t))
	return base64.RawURLEncoding.EncodeToString(b[:]) + "." + t.ID, expires
}

func (k *Keys) sign(expiry []byte, t *Token) []byte {
	m := hmac.New(sha256.New, k.secret)
	m.Write(expiry)
	m.Write([]byte(t.Hash)) // as long for every key
	m.Write([]byte(t.ID))
	return m.Sum(nil)
}

// CheckSession returns the token of a cookie value that is genuine, has not
// expired and whose token still admits.
func (k *Keys) CheckSession(value string) (Token, bool) {
	enc, id, ok := strings.Cut(value, ".")
	if !ok || len(value) > 256 {
		return Token{}, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(enc)
	if err != nil || len(b) != 8+sha256.Size {
		return Token{}, false
	}
	t, ok := k.Get(id)
	if !ok || !hmac.Equal(b[8:], k.sign(b[:8], &t)) {
		return Token{}, false
	}
	now := k.now()
	if uint64(now.Unix()) >= binary.BigEndian.Uint64(b) {
		return Token{}, false
	}
	if !t.Valid(now) {
		return Token{}, false
	}
	return t, true
}

// CookieValue returns the value of the named cookie in a raw Cookie header.
func CookieValue(header, name string) string {
	for header != "" {
		var c string
		c, header, _ = strings.Cut(header, ";")
		if n, v, ok := strings.Cut(strings.TrimSpace(c), "="); ok && n == name {
			return strings.Trim(v, `"`)
		}
	}
	return ""
}
