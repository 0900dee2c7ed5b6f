//go:build linux

package conform

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Opcodes and bits of a frame's first byte.
const (
	more   = 0x0
	text   = 0x1
	binry  = 0x2
	closes = 0x8
	ping   = 0x9
	pong   = 0xa
	fin    = 0x80
	rsv1   = 0x40
)

// patience is after how long a server is taken to give no answer: 4 MiB in 65,536 frames, sixteen
// at a time, take 16 s where races are looked for and nothing else runs.
const patience = 2 * time.Minute

// peer is a client that says what it is told, right or wrong.
type peer struct {
	c      net.Conn
	r      *bufio.Reader
	agreed string // the server's Sec-WebSocket-Extensions
}

func dial(addr, path, offer string) (*peer, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(patience))
	head := "GET " + path + " HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	if offer != "" {
		head += "Sec-WebSocket-Extensions: " + offer + "\r\n"
	}
	if _, err := io.WriteString(c, head+"\r\n"); err != nil {
		return nil, err
	}
	p := &peer{c: c, r: bufio.NewReaderSize(c, 64<<10)}
	resp, err := http.ReadResponse(p.r, nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != 101 || resp.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		return nil, fmt.Errorf("upgrade: %s %v", resp.Status, resp.Header)
	}
	p.agreed = resp.Header.Get("Sec-WebSocket-Extensions")
	return p, nil
}

// frame is one frame as a client must send it: masked, its length in as few
// bytes as possible.
func frame(first byte, payload string) []byte {
	return append(header(first, uint64(len(payload))), masked(payload)...)
}

var mask = [4]byte{0x9a, 0x01, 0xf3, 0x5c}

func masked(payload string) []byte {
	b := []byte(payload)
	for i := range b {
		b[i] ^= mask[i&3]
	}
	return b
}

// header is a frame's header with its mask.
func header(first byte, n uint64) []byte {
	b := []byte{first}
	switch {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), n)
	}
	return append(b, mask[:]...)
}

func closing(code uint16, reason string) []byte {
	return frame(fin|closes, string(binary.BigEndian.AppendUint16(nil, code))+reason)
}

// got is a frame or message that the server sent.
type got struct {
	first   byte
	payload string
}

func (g got) String() string {
	p := g.payload
	if len(p) > 40 {
		p = p[:40] + "…"
	}
	return fmt.Sprintf("%#x %q (%d bytes)", g.first, p, len(g.payload))
}

// frame reads one frame and holds it to what a server may send.
func (p *peer) frame() (g got, err error) {
	var h [10]byte
	if _, err = io.ReadFull(p.r, h[:2]); err != nil {
		return g, err
	}
	n := uint64(h[1])
	switch n {
	case 126:
		_, err = io.ReadFull(p.r, h[2:4])
		n = uint64(binary.BigEndian.Uint16(h[2:]))
		if n < 126 {
			return g, fmt.Errorf("a length of %d in 2 bytes", n)
		}
	case 127:
		_, err = io.ReadFull(p.r, h[2:10])
		n = binary.BigEndian.Uint64(h[2:])
		if n < 1<<16 || n > 1<<31 {
			return g, fmt.Errorf("a length of %d in 8 bytes", n)
		}
	}
	if err != nil {
		return g, err
	}
	if h[1]&0x80 != 0 {
		return g, errors.New("a masked frame from a server")
	}
	b := make([]byte, n)
	if _, err = io.ReadFull(p.r, b); err != nil {
		return g, err
	}
	return got{h[0], string(b)}, nil
}

// message reads the next message or control frame; compressed ones inflated.
func (p *peer) message() (got, error) {
	var whole got
	for {
		g, err := p.frame()
		if err != nil {
			return g, err
		}
		op := g.first & 0xf
		switch {
		case op >= 8:
			if g.first&0x70 != 0 || g.first&fin == 0 || len(g.payload) > 125 {
				return g, fmt.Errorf("a control frame that is none: %v", g)
			}
			return g, nil
		case (op == more) != (whole.first != 0) || g.first&0x30 != 0 || op == more && g.first&rsv1 != 0:
			return g, fmt.Errorf("a frame out of order: %v", g)
		}
		whole.first |= g.first
		whole.payload += g.payload
		if g.first&fin == 0 {
			continue
		}
		if whole.first&rsv1 != 0 {
			if p.agreed == "" {
				return g, errors.New("compressed, which was not agreed on")
			}
			whole.first &^= rsv1
			if whole.payload, err = inflate(whole.payload); err != nil {
				return whole, err
			}
		}
		return whole, nil
	}
}

// end reads what a server says at last: a close frame and the end of the
// stream. Its code is 1005 for a close without one.
func (p *peer) end() (code int, err error) {
	g, err := p.message()
	if err != nil {
		return 0, fmt.Errorf("no close frame: %w", err)
	}
	if g.first != fin|closes {
		return 0, fmt.Errorf("%v where a close frame was due", g)
	}
	code = 1005
	if len(g.payload) >= 2 {
		code = int(binary.BigEndian.Uint16([]byte(g.payload)))
	} else if len(g.payload) == 1 {
		return 0, errors.New("a close frame of one byte")
	}
	if p.c.(*net.TCPConn).CloseWrite(); err != nil {
		return code, err
	}
	if b, err := io.ReadAll(p.r); err != nil || len(b) > 0 {
		return code, fmt.Errorf("%d bytes behind the close frame: %v", len(b), err)
	}
	return code, nil
}

// deflate compresses a message as a client does.
func deflate(s string, level int) string {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	if err != nil {
		panic(err)
	}
	io.WriteString(w, s)
	w.Flush()
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

func inflate(s string) (string, error) {
	r := flate.NewReader(strings.NewReader(s + "\x00\x00\xff\xff\x01\x00\x00\xff\xff"))
	b, err := io.ReadAll(r)
	return string(b), err
}
