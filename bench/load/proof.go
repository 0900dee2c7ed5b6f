package load

import (
	"bufio"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Between a coordinator and a host of load clients each proves first that it holds
// the token, by an HMAC over both sides' random numbers; the token is never sent.
//
//	host         {"eyrie":"bench client","version":1,"build":…,"cores":…,"nonce":A}
//	coordinator  {"nonce":B,"session":S,"proof":HMAC(token, "coordinator" A B S)}
//	host         {"proof":HMAC(token, "host" A B S)}, or {"error":…}
//	coordinator  {"clock":n}, several times
//	host         {"now":Unix ns}
//
// From then on the lines are those between parent and child (job.go): one
// connection is one child. All of a coordinator's have the same session. Nothing
// is encrypted: on a network that others use, run it through a tunnel.

// greeting is the host's first line.
type greeting struct {
	Eyrie   string `json:"eyrie"`
	Version int    `json:"version"`
	Build   string `json:"build"` // commit; "" of a development build
	Cores   int    `json:"cores"`
	Nonce   string `json:"nonce"`
}

// claim is the coordinator's first line.
type claim struct {
	Nonce   string `json:"nonce"`
	Session string `json:"session"`
	Proof   string `json:"proof"`
}

// grant is the host's answer to it.
type grant struct {
	Proof string `json:"proof,omitempty"`
	Error string `json:"error,omitempty"`
}

type clockAsked struct {
	Clock int `json:"clock"`
}

type clockTold struct {
	Now int64 `json:"now"`
}

const (
	remoteName    = "bench client"
	remoteVersion = 1
	nonceBytes    = 32
	proofLineMax  = 1 << 10
	clockRounds   = 8
)

// TokenLeast is how many bytes a token has at least.
const TokenLeast = 16

// ReadToken reads the token of a file, or of the environment where path is "". A
// file must not be readable by others.
func ReadToken(path, fromEnvironment string) ([]byte, error) {
	t, where := fromEnvironment, "EYRIE_BENCH_TOKEN"
	if path != "" {
		where = path
		st, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if st.Mode().Perm()&0o077 != 0 {
			return nil, fmt.Errorf("%s: others than its owner may read it (%v): chmod 600", path, st.Mode().Perm())
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		t = string(b)
	}
	if t = strings.TrimSpace(t); t == "" {
		return nil, errors.New("a token is needed, the same on every host: --token-file FILE, or EYRIE_BENCH_TOKEN")
	}
	if len(t) < TokenLeast {
		return nil, fmt.Errorf("%s: a token of %d bytes is too short, want %d: head -c 32 /dev/urandom | base64", where, len(t), TokenLeast)
	}
	return []byte(t), nil
}

// nonce is a random number that is used once.
func nonce() string {
	var b [nonceBytes]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return hex.EncodeToString(b[:])
}

// proof is what who holds the token says.
func proof(token []byte, who, host, coordinator, session string) string {
	m := hmac.New(sha256.New, token)
	fmt.Fprintf(m, "eyrie bench %d\n%s\n%s\n%s\n%s\n", remoteVersion, who, host, coordinator, session)
	return hex.EncodeToString(m.Sum(nil))
}

// proven tells in constant time whether a proof is right.
func proven(got, want string) bool { return hmac.Equal([]byte(got), []byte(want)) }

// readLine reads one line of at most limit bytes into v.
func readLine(r *bufio.Reader, limit int, v any) error {
	b, err := boundedLine(r, limit)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// boundedLine reads a line of at most limit bytes.
func boundedLine(r *bufio.Reader, limit int) (b []byte, err error) {
	for {
		part, err := r.ReadSlice('\n')
		b = append(b, part...)
		switch {
		case len(b) > limit:
			return nil, fmt.Errorf("a line of more than %d bytes", limit)
		case err == nil:
			return b, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(b) > 0:
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}
