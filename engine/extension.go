//go:build linux

package engine

import (
	"strconv"
)

// deflateName is RFC 7692's extension. Contexts are never taken over, by
// neither side: what a link would have to remember is not worth its memory.
const deflateName = "permessage-deflate"

// windowBitsMax is a window of 32 KiB, DEFLATE's largest.
const windowBitsMax = 15

// chooseDeflate reads Sec-WebSocket-Extensions and takes the first offer of
// permessage-deflate that can be honoured. bits is the window that what we send
// must keep to, 0 if nothing was agreed; limited says that the offer named it.
// An offer with parameters that RFC 7692 does not allow is passed over; ok is
// false if the field is no list of extensions at all (RFC 6455, 9.1).
func chooseDeflate(fields [][]byte) (bits uint8, limited, ok bool) {
	for _, b := range fields {
		s := extensions{rest: b}
		for s.next() {
			if offered, lim, good := s.offer(); good && bits == 0 {
				bits, limited = offered, lim
			}
		}
		if s.bad {
			return 0, false, false
		}
	}
	return bits, limited, true
}

// appendDeflate appends the answer to an offer.
func appendDeflate(dst []byte, bits uint8, limited bool) []byte {
	dst = append(dst, "\r\nSec-WebSocket-Extensions: "+deflateName+"; server_no_context_takeover; client_no_context_takeover"...)
	if limited {
		dst = strconv.AppendUint(append(dst, "; server_max_window_bits="...), uint64(bits), 10)
	}
	return dst
}

// extensions walks over one field's value.
type extensions struct {
	rest []byte
	bad  bool
}

// next moves to the next extension, over empty elements (RFC 9110, 5.6.1).
func (s *extensions) next() bool {
	for s.skip(','); len(s.rest) > 0 && !s.bad; {
		return true
	}
	return false
}

// offer reads an extension with its parameters; good says that it is one of
// permessage-deflate that can be honoured.
func (s *extensions) offer() (bits uint8, limited, good bool) {
	good = string(s.token()) == deflateName
	bits = windowBitsMax
	var seen [4]bool
	for !s.bad && s.take(';') {
		name := string(s.token())
		value, has := s.value()
		n := windowBits(value)
		at := 0
		switch name {
		case "server_no_context_takeover":
			good = good && !has
		case "client_no_context_takeover":
			at, good = 1, good && !has
		case "server_max_window_bits":
			at, good = 2, good && n > 0
			bits, limited = n, true
		case "client_max_window_bits": // a hint: we take any window
			at, good = 3, good && (!has || n > 0)
		default:
			good = false
		}
		good = good && !seen[at]
		seen[at] = true
	}
	s.space()
	if len(s.rest) > 0 && s.rest[0] != ',' {
		s.bad = true
	}
	return bits, limited, good
}

// windowBits is 8 to 15 without leading zeros (7.1.2.1), 0 for all else.
func windowBits(v []byte) uint8 {
	switch {
	case len(v) == 1 && (v[0] == '8' || v[0] == '9'):
		return v[0] - '0'
	case len(v) == 2 && v[0] == '1' && '0' <= v[1] && v[1] <= '5':
		return 10 + v[1] - '0'
	}
	return 0
}

func (s *extensions) space() {
	for len(s.rest) > 0 && (s.rest[0] == ' ' || s.rest[0] == '\t') {
		s.rest = s.rest[1:]
	}
}

// skip passes over space and c.
func (s *extensions) skip(c byte) {
	for s.take(c) {
	}
	s.space()
}

// take takes c if it is next behind space.
func (s *extensions) take(c byte) bool {
	s.space()
	if len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

func (s *extensions) token() []byte {
	s.space()
	n := 0
	for n < len(s.rest) && tokenByte[s.rest[n]] {
		n++
	}
	t := s.rest[:n]
	s.rest = s.rest[n:]
	s.bad = s.bad || n == 0
	return t
}

// value reads "=" and a token, which may be quoted (RFC 6455, 9.1).
func (s *extensions) value() (v []byte, has bool) {
	if !s.take('=') {
		return nil, false
	}
	if !s.take('"') {
		return s.token(), true
	}
	for i := 0; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == '"':
			s.rest = s.rest[i+1:]
			s.bad = s.bad || !isToken(v)
			return v, true
		case c == '\\' && i+1 < len(s.rest):
			i++
			v = append(v, s.rest[i])
		default:
			v = append(v, c)
		}
	}
	s.bad = true
	return nil, true
}
