package block

import "hash/crc32"

// All integers are little-endian. A header value:
//
//	 0  4  magic "eyrH"
//	 4  1  version, 2
//	 5  1  flags, 0
//	 6  2  zero
//	 8 16  log id
//	24  4  epoch
//	28  4  count of records, 1 to 1,024
//	32  8  base: offset of the first record
//	40  8  recv of the first record, Unix ns
//	48  8  recv of the last record
//	56  8  classes: bit (class & 63) of every record
//	64  4  kinds: bit kind of every record
//	68  4  length of the body value
//	72  4  CRC32C of the body value
//	76  8  chain: digest of all headers before this one (see Header.Digest)
//	84     sections, each {id 1, length 4, bytes}; a reader skips ids it does not know
//	 n  4  CRC32C of everything before
//
// Sections: 1 agents: the sorted set of agent numbers, {count, first, delta-1 …}
// as uvarints. 2 keys: the sorted set of the keys' upper 16 bits, coded alike; a
// filter with false positives (1.5 % at 1,000 keys), never false negatives.
// 3 ranges: what the block holds of each producer, one Range after the other:
// uvarints producer, epoch, from, to-from+1, base-prev (0: none). In
// version 1, 8 bytes stand behind each, a digest that nothing came to read.
//
// A body value:
//
//	0  4  magic "eyrB"
//	4  1  version, 1
//	5  1  sections, each described by 12 bytes from 8 on:
//	6  2  zero
//	8     {id 1, codec 1, zero 2, raw length 4, stored length 4} …, then the
//	      sections' bytes in that order
//
// Codecs: 0 none, 1 S2. Section 1 holds the columns: a directory {count, then
// per column id 1, encoding 1, length uvarint}, then the columns' bytes. A
// reader skips columns it does not know. Section 2 holds the payloads end to end.
//
//	column        encodings
//	1 kind        0 one byte for all, 1 a byte each
//	2 class       alike
//	3 flags       alike
//	4 producer    2 runs: {length, value}
//	5 seq         3 runs: {length, zigzag of seq - (previous + 1)}, previous of the first = -1
//	6 agent       4 index into the header's agents, a byte each; 5 the same, two bytes
//	7 key         0 none but zeros; 6 four bytes each; 4 and 5 with a table before: {count uvarint, four bytes each}
//	8 recv        3 runs: {length, zigzag of recv - previous}, previous of the first = the header's
//	9 length      7 uvarint each
//
// Limits: 1,024 records; 256 KiB of payload, or one larger record alone, at
// most 16 MiB; ranges 1,024.
const (
	headerMagic = "eyrH"
	bodyMagic   = "eyrB"

	// What this code writes, and the newest it reads.
	headerVersion = 2
	bodyVersion   = 1

	// RecordsMax and PayloadBytesMax bound a block; one record larger than
	// PayloadBytesMax, up to RecordBytesMax, fits alone.
	RecordsMax      = 1024
	PayloadBytesMax = 256 << 10
	RecordBytesMax  = 16 << 20

	headerFixed = 84
	headerMin   = headerFixed + 4
	bodyFixed   = 8
	sectionDir  = 12

	sectionAgents = 1
	sectionKeys   = 2
	sectionRanges = 3

	sectionColumns  = 1
	sectionPayloads = 2

	codecNone = 0
	codecS2   = 1
)

const (
	columnKind = 1 + iota
	columnClass
	columnFlags
	columnProducer
	columnSeq
	columnAgent
	columnKey
	columnRecv
	columnLength
	columnEnd
)

const (
	encConst = iota
	encBytes
	encRuns
	encDeltaRuns
	encIndex1
	encIndex2
	encFixed4
	encUvarint
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(p []byte) uint32 { return crc32.Checksum(p, castagnoli) }
