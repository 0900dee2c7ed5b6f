package stretch

import (
	"encoding/binary"
	"hash/crc32"

	"eyrie/wal/block"
)

// All integers are little-endian, differences are modulo 2^64. An index value:
//
//	 0  4  magic "eyrS"
//	 4  1  version, 1
//	 5  3  zero
//	 8 16  log id
//	24  4  epoch
//	28  4  zero
//	32  8  base: offset of the first record
//	40  8  next: offset behind the last record
//	48  8  least recv, Unix ns
//	56  8  greatest recv
//	64  8  chain: digest of all block headers before the stretch
//	72  8  digest of all block headers up to its end
//	80  8  bytes of payload, uncompressed
//	88  4  records
//	92     sections, each {id 1, length 4, bytes}; a reader skips ids it does not know
//	 n  4  CRC32C of everything before
//
// Section 1 holds the chunks, in order of tier, agent, offset: count, then for
// each, as uvarints unless said otherwise: tier - tier before, first agent -
// last agent before (of the same tier, else 0), last agent - first, least
// offset - base, greatest - least, least recv - that of the index, greatest -
// least, records, kinds, classes, length of the value, its CRC32C 4, digest 8.
// Section 2: the first key of each key page, 4 bytes each. Section 3: the holes
// between the blocks: for each first offset - base, length.
//
// A key page:
//
//	 0  4  magic "eyrK"
//	 4  1  version, 1
//	 5  3  zero
//	 8  4  keys
//	12     for each, ascending: uvarints key - key before (0 before the first),
//	       number of chunks, then the sorted set of their indexes: first, each
//	       distance to the one before less one
//	 n  4  CRC32C of everything before
//
// A chunk:
//
//	 0  4  magic "eyrT"
//	 4  1  version, 2
//	 5  1  tier
//	 6  2  fields on their own
//	 8  4  records
//	12     10 sections, then one for each field on its own, each {codec 1,
//	       raw length 4, stored length 4, bytes}; in version 2 one more, the
//	       filter, with codec 0
//	 n  4  CRC32C of everything before
//
// Codecs: 0 none, 1 zstd, one frame. The records are in two orders: by offset
// for sections 2 to 4, by agent and offset for the others. A stride is a run of
// records in order of offset with one producer, one recv, and numbers that
// differ as their offsets do.
//
// A payload is kept whole, or divided if it is a MessagePack map: a template
// says which words (headers of maps, names, values that are always the same)
// and which fields follow each other; a field is the values behind one name,
// each a whole MessagePack value, end to end.
//
//	1 tables     least offset uvarint, its recv 8; then four tables, each
//	             behind its length (uvarint): agents, ascending, each distance
//	             to the one before less one (uvarint; the first whole);
//	             producers, 4 bytes each; shapes, {kind, class, flags, 1 if
//	             with key, template}; keys, 4 bytes each
//	2 strides    count uvarint, then one column after the other: records - 1;
//	             distance of the first offset from the end of the stride before;
//	             producer's index; zigzag of recv - that before; zigzag of seq -
//	             the producer's number behind its last; all uvarints
//	3 gaps       within strides, of each record but the first: offset -
//	             (offset before + 1), uvarint
//	4 agents     index into the table, a byte each; with more than 256 agents
//	             the low bytes of all, then the high bytes of all
//	5 shapes     alike
//	6 lengths    of payloads kept whole, template 0: zigzag of length - last
//	             length of the same shape, uvarint
//	7 keys       of those with one: uvarint, 0 that of the record with a key
//	             before, 1 the next of the table never used yet, n+2 number n
//	8 templates  all uvarints: words, length of each, the words' bytes;
//	             templates, numbered from 1, for each: tokens, then each word<<1
//	             or field<<1|1; fields, for each: bytes + 1, or 0 if on its own
//	9 values     of the fields that are not on their own, one after the other
//	10 payloads  kept whole, end to end
//
// The filter is a Bloom filter of the different grams of sections 8 to 10 and of
// the fields on their own, see filter.go: n bytes, 1 for each gram, at least 1. A gram
// is four ASCII letters, in either case, as 5 bits each from a = 1 on, the first one
// highest; those of a to f alone are left out. Its bits: h = gram + 1; four times
// h = h × 0x9e3779b97f4a7c15 modulo 2^64, h = h xor h >> 32, bit (h modulo 2^32) × 8n >>
// 32. n = 0: the chunk is without one, which says nothing.
//
// Limits: 4,096 records and 1 MiB of payload in a chunk, or one larger record
// alone, at most 16 MiB.
const (
	indexMagic = "eyrS"
	pageMagic  = "eyrK"
	chunkMagic = "eyrT"

	// What this code writes, and the newest it reads.
	indexVersion = 1
	pageVersion  = 1
	chunkVersion = 2

	// RecordsMax and PayloadBytesMax bound a chunk; one record larger than
	// PayloadBytesMax, up to block.RecordBytesMax, fits alone.
	RecordsMax      = 4096
	PayloadBytesMax = 1 << 20

	indexFixed = 92
	pageFixed  = 12
	chunkFixed = 12

	sectionChunks = 1
	sectionPages  = 2
	sectionHoles  = 3

	chunkEntryMin = 11 + 4 + 8 // bytes of a chunk's entry in the index, at least

	codecNone = 0
	codecZstd = 1
)

// The sections of a chunk, in their order.
const (
	colTables = iota
	colStrides
	colGaps
	colAgents
	colShapes
	colLengths
	colKeys
	colTemplates
	colValues
	colRest
	colEnd
)

// columnBytesMax bounds a section that is neither values nor payloads: five
// uvarints a record, or the templates, are less.
const columnBytesMax = 1 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(p []byte) uint32 { return crc32.Checksum(p, castagnoli) }

// seal appends the CRC32C of dst[from:].
func seal(dst []byte, from int) []byte {
	return binary.LittleEndian.AppendUint32(dst, checksum(dst[from:]))
}

// check tells whether value has the magic, a version and an intact checksum,
// and returns what lies between version and checksum.
func check(part, magic string, value []byte, fixed, newest int) ([]byte, error) {
	if len(value) < fixed+4 {
		return nil, corrupt(part, "%d bytes, at least %d expected", len(value), fixed+4)
	}
	if string(value[:4]) != magic {
		return nil, corrupt(part, "begins with %x, not with %q", value[:4], magic)
	}
	end := len(value) - 4
	if got, want := checksum(value[:end]), binary.LittleEndian.Uint32(value[end:]); got != want {
		return nil, corrupt(part, "CRC32C is %08x, stored %08x", got, want)
	}
	return value[:end], version(part, value, newest)
}

func version(part string, value []byte, newest int) error {
	switch v := int(value[4]); {
	case v > newest:
		return &VersionError{Part: part, Got: v, Most: newest}
	case v == 0:
		return corrupt(part, "version 0")
	}
	return nil
}

func zigzag(v uint64) uint64   { return v<<1 ^ uint64(int64(v)>>63) }
func unzigzag(v uint64) uint64 { return v>>1 ^ -(v & 1) }

// reader takes numbers off a slice. The first failure sticks in bad.
type reader struct {
	p   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	if len(r.p) > 0 && r.p[0] < 0x80 {
		v := r.p[0]
		r.p = r.p[1:]
		return uint64(v)
	}
	v, k := binary.Uvarint(r.p)
	if k <= 0 {
		r.bad, r.p = true, nil
		return 0
	}
	r.p = r.p[k:]
	return v
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.p)) {
		r.bad, r.p = true, nil
		return nil
	}
	p := r.p[:n]
	r.p = r.p[n:]
	return p
}

func (r *reader) uint32() uint32 {
	if p := r.bytes(4); p != nil {
		return binary.LittleEndian.Uint32(p)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if p := r.bytes(8); p != nil {
		return binary.LittleEndian.Uint64(p)
	}
	return 0
}

// A chunk must be able to hold whatever a block can.
var _ = [1]int{}[block.PayloadBytesMax/(PayloadBytesMax+1)]
