package stretch

import (
	"encoding/binary"
	"slices"
)

// pageBytes of entries end a key page.
const pageBytes = 16 << 10

// pages makes the key pages from w.keys and notes them in x.
func (w *Writer) pages(x *Index, emit func(page int, value []byte) error) error {
	w.keys, w.spare = sortHigh(w.keys, w.spare)
	le := binary.LittleEndian
	page, n, prev := w.page[:0], 0, uint32(0)
	begin := func() {
		page = append(page[:0], pageMagic...)
		page = append(page, pageVersion, 0, 0, 0, 0, 0, 0, 0)
		n, prev = 0, 0
	}
	flush := func() error {
		le.PutUint32(page[8:], uint32(n))
		page = seal(page, 0)
		return emit(len(x.keys)-1, page)
	}
	for rest := w.keys; len(rest) > 0; {
		key := uint32(rest[0] >> 32)
		if n == 0 || len(page) >= pageBytes {
			if n > 0 {
				if err := flush(); err != nil {
					return err
				}
			}
			begin()
			x.keys = append(x.keys, key)
		}
		m := 1
		for m < len(rest) && uint32(rest[m]>>32) == key {
			m++
		}
		page = binary.AppendUvarint(page, uint64(key-prev))
		page = binary.AppendUvarint(page, uint64(m))
		for i, v := range rest[:m] {
			c := uint32(v)
			if i > 0 {
				c -= uint32(rest[i-1]) + 1
			}
			page = binary.AppendUvarint(page, uint64(c))
		}
		prev, rest = key, rest[m:]
		n++
	}
	w.page = page
	if n == 0 {
		return nil
	}
	return flush()
}

// LookKey returns which chunks hold records with the key, as ascending indexes
// into Index.Chunks of the index that named the page; the caller compares them
// with its length. None is no error. Errors are *CorruptError or *VersionError.
func LookKey(page []byte, key uint32) (chunks []uint32, err error) {
	body, err := check(partPage, pageMagic, page, pageFixed, pageVersion)
	if err != nil {
		return nil, err
	}
	return lookKey(body, key)
}

// lookKey is LookKey behind the checksum.
func lookKey(body []byte, key uint32) (chunks []uint32, err error) {
	n := uint64(binary.LittleEndian.Uint32(body[8:]))
	r := reader{p: body[pageFixed:]}
	if string(body[5:8]) != "\x00\x00\x00" || n > uint64(len(r.p)/3) {
		return nil, corrupt(partPage, "%d keys in %d bytes", n, len(r.p))
	}
	cur := uint64(0)
	for i := range n {
		d, m := r.uvarint(), r.uvarint()
		cur += d
		if r.bad || d == 0 || d >= 1<<32 || cur >= 1<<32 || m == 0 || m > uint64(len(r.p)) {
			return nil, corrupt(partPage, "key %d is damaged", i)
		}
		if cur > uint64(key) {
			return nil, nil
		}
		if cur < uint64(key) {
			for range m {
				r.uvarint()
			}
			continue
		}
		chunks = slices.Grow(chunks, int(m))
		at := uint64(0)
		for j := range m {
			c := r.uvarint()
			if j > 0 {
				c++
			}
			at += c
			if r.bad || c >= 1<<32 || at >= 1<<32 {
				return nil, corrupt(partPage, "the chunks of key %d are damaged", i)
			}
			chunks = append(chunks, uint32(at))
		}
		return chunks, nil
	}
	if r.bad || len(r.p) != 0 {
		return nil, corrupt(partPage, "%d bytes behind %d keys", len(r.p), n)
	}
	return nil, nil
}
