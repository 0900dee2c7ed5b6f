package access

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"
)

// Errors of the store.
var (
	ErrNoToken   = errors.New("no key has this id")
	ErrStanding  = errors.New("the keys made on first start are revoked by deleting their file and starting anew")
	ErrBadToken  = errors.New("a key needs a role (agent, viewer, operator, admin), a space of at most 128 bytes, and valid agent patterns")
	ErrTooMany   = errors.New("no more than 10,000 keys are kept")
	tokensFile   = "tokens.json"
	sessionFile  = "session"
	tokensMax    = 10_000
	operatorFile = "operator"
	agentFile    = "agent"
)

// Keys is the store of keys in one folder. All methods may be called
// concurrently.
type Keys struct {
	dir    string
	now    func() time.Time
	rand   io.Reader
	secret []byte // signs sessions

	mu     sync.RWMutex
	tokens []*Token          // standing first, then in order of creation
	byHash map[string]*Token // by SHA-256 of the key
	byID   map[string]*Token
}

// Open reads the folder, making it and the two standing keys, operator and
// agent, where they are missing. Made reports whether this call made them.
func Open(dir string, now func() time.Time, rand io.Reader) (k *Keys, made bool, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, false, fmt.Errorf("keys: %w", err)
	}
	k = &Keys{dir: dir, now: now, rand: rand}
	var tokens []*Token
	b, err := os.ReadFile(filepath.Join(dir, tokensFile))
	if err == nil {
		if err := json.Unmarshal(b, &tokens); err != nil {
			return nil, false, fmt.Errorf("keys: %s: %w", filepath.Join(dir, tokensFile), err)
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, false, fmt.Errorf("keys: %w", err)
	}
	var standing []*Token
	for _, s := range []struct {
		file  string
		role  Role
		space string
	}{{operatorFile, Admin, AnySpace}, {agentFile, Agent, DefaultSpace}} {
		key, fresh, err := k.standing(s.file)
		if err != nil {
			return nil, false, err
		}
		made = made || fresh
		standing = append(standing, &Token{ID: s.file, Name: s.file, Role: s.role, Space: s.space, Hash: hash(key)})
	}
	secret, _, err := k.standing(sessionFile)
	if err != nil {
		return nil, false, err
	}
	sum := sha256.Sum256([]byte(secret))
	k.secret = sum[:]
	k.index(append(standing, tokens...))
	return k, made, nil
}

// standing reads the key in a file of its own, making it if it is missing.
func (k *Keys) standing(name string) (key string, made bool, err error) {
	p := filepath.Join(k.dir, name)
	b, err := os.ReadFile(p)
	if err == nil {
		if key = strings.TrimSpace(string(b)); len(key) < 16 {
			return "", false, fmt.Errorf("keys: %s: a key of %d characters is too short to be safe; delete the file to get a fresh one", p, len(key))
		}
		return key, false, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", false, fmt.Errorf("keys: %w", err)
	}
	if key, err = k.fresh(); err != nil {
		return "", false, err
	}
	return key, true, writeFile(p, []byte(key+"\n"))
}

// fresh returns a new key of 192 random bits.
func (k *Keys) fresh() (string, error) {
	var b [24]byte
	if _, err := io.ReadFull(k.rand, b[:]); err != nil {
		return "", fmt.Errorf("keys: no randomness: %w", err)
	}
	return "eyrie_" + base64.RawURLEncoding.EncodeToString(b[:]), nil
}

func (k *Keys) index(ts []*Token) {
	k.tokens = ts
	k.byHash = make(map[string]*Token, len(ts))
	k.byID = make(map[string]*Token, len(ts))
	for _, t := range ts {
		k.byHash[t.Hash] = t
		k.byID[t.ID] = t
	}
}

// Check returns the token of a key that admits now. The look-up is by hash, so
// its time tells nothing about the key.
func (k *Keys) Check(key string) (Token, bool) {
	if key == "" || len(key) > 1024 {
		return Token{}, false
	}
	h := hash(key)
	k.mu.RLock()
	t := k.byHash[h]
	k.mu.RUnlock()
	if t == nil || !t.Valid(k.now()) {
		return Token{}, false
	}
	return *t, true
}

// Get returns the token with the given id, revoked ones too.
func (k *Keys) Get(id string) (Token, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if t := k.byID[id]; t != nil {
		return *t, true
	}
	return Token{}, false
}

// List returns every token, standing ones first, then oldest first.
func (k *Keys) List() []Token {
	k.mu.RLock()
	defer k.mu.RUnlock()
	out := make([]Token, len(k.tokens))
	for i, t := range k.tokens {
		out[i] = *t
	}
	sort.SliceStable(out[2:], func(i, j int) bool { return out[2+i].Created < out[2+j].Created })
	return out
}

// Create makes a key. The returned string is the only time the key is seen. Of
// t the name, role, space, agents and expiry are taken. It returns ErrBadToken
// or an error of the disk.
func (k *Keys) Create(t Token) (key string, made Token, err error) {
	if t.Space == "" {
		t.Space = DefaultSpace
	}
	if !t.Role.Valid() || len(t.Space) > 128 || strings.ContainsAny(t.Space, "/\x00") || len(t.Name) > 128 || t.Role == Agent && t.Space == AnySpace {
		return "", Token{}, ErrBadToken
	}
	if len(t.Agents) == 0 {
		t.Agents = nil // a Grant with an empty list is for nobody
	}
	for _, p := range t.Agents {
		if p == "" || len(p) > 128 || strings.ContainsAny(p, `[]\`) { // * and ? are all there is
			return "", Token{}, ErrBadToken
		}
	}
	if key, err = k.fresh(); err != nil {
		return "", Token{}, err
	}
	t.Hash = hash(key)
	t.ID = "k_" + t.Hash[:12]
	t.Created, t.Revoked = k.now().UnixMilli(), 0
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.tokens) >= tokensMax {
		return "", Token{}, ErrTooMany
	}
	next := append(append([]*Token(nil), k.tokens...), &t)
	if err := k.save(next); err != nil {
		return "", Token{}, err
	}
	k.index(next)
	return key, t, nil
}

// Revoke ends a key at once. It returns ErrNoToken, ErrStanding or an error of
// the disk.
func (k *Keys) Revoke(id string) (Token, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.byID[id]
	if t == nil {
		return Token{}, ErrNoToken
	}
	if t == k.tokens[0] || t == k.tokens[1] {
		return Token{}, ErrStanding
	}
	if t.Revoked != 0 {
		return *t, nil
	}
	u := *t
	u.Revoked = k.now().UnixMilli()
	next := append([]*Token(nil), k.tokens...)
	for i := range next {
		if next[i] == t {
			next[i] = &u
		}
	}
	if err := k.save(next); err != nil {
		return Token{}, err
	}
	k.index(next)
	return u, nil
}

// save writes all but the standing tokens.
func (k *Keys) save(ts []*Token) error {
	b, err := json.MarshalIndent(ts[2:], "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(k.dir, tokensFile), append(b, '\n'))
}

// Standing returns the key that Open keeps in a file of its own: "operator" or
// "agent".
func (k *Keys) Standing(name string) (string, error) {
	if name != operatorFile && name != agentFile {
		return "", ErrNoToken
	}
	b, err := os.ReadFile(filepath.Join(k.dir, name))
	return strings.TrimSpace(string(b)), err
}

// writeFile replaces a file in one step, readable by its owner alone, and
// syncs it and its folder.
func writeFile(p string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(p), ".new-*")
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), p)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("keys: %w", err)
	}
	if d, err := os.Open(filepath.Dir(p)); err == nil {
		err = d.Sync()
		d.Close()
		if err != nil {
			return fmt.Errorf("keys: %w", err)
		}
	}
	return nil
}
