package blob

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// A blob's file, little-endian:
//
//	 0  4  magic "eyrX"
//	 4  1  version, 1
//	 5  1  codec: 1 as it is, 2 zstd
//	 6  1  length of the space's name
//	 7  1  length of the media type
//	 8  4  bytes of content, 12 4 bytes as stored
//	16 32  SHA-256 of the content
//	48     space | media type
//	       CRC32C of all before, 4
//	       content as stored, to the end
//
// The content needs no CRC: its SHA-256 is compared at every reading.
const (
	magic     = "eyrX"
	version   = 1
	codecRaw  = 1
	codecZstd = 2
	fixed     = 48
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is the beginning of a file.
type header struct {
	codec        byte
	space, kind  string
	size, stored uint32
	sum          [sha256.Size]byte
}

func (h *header) append(p []byte) []byte {
	from := len(p)
	p = append(p, magic...)
	p = append(p, version, h.codec, byte(len(h.space)), byte(len(h.kind)))
	p = binary.LittleEndian.AppendUint32(p, h.size)
	p = binary.LittleEndian.AppendUint32(p, h.stored)
	p = append(p, h.sum[:]...)
	p = append(append(p, h.space...), h.kind...)
	return binary.LittleEndian.AppendUint32(p, crc32.Checksum(p[from:], castagnoli))
}

// headerBytesMax is the longest header.
const headerBytesMax = fixed + 2*255 + 4

// decode reads what append wrote and returns where the content begins.
func (h *header) decode(p []byte) (int, error) {
	if len(p) < fixed || string(p[:4]) != magic {
		return 0, damaged("it does not begin as a blob does")
	}
	if p[4] > version {
		return 0, fmt.Errorf("blob: its format is %d, this release knows %d at most", p[4], version)
	}
	at := fixed + int(p[6]) + int(p[7])
	if len(p) < at+4 || binary.LittleEndian.Uint32(p[at:]) != crc32.Checksum(p[:at], castagnoli) {
		return 0, damaged("the checksum of its header is not that of its content")
	}
	h.codec = p[5]
	h.space, h.kind = string(p[fixed:fixed+int(p[6])]), string(p[fixed+int(p[6]):at])
	h.size, h.stored = binary.LittleEndian.Uint32(p[8:]), binary.LittleEndian.Uint32(p[12:])
	copy(h.sum[:], p[16:])
	if p[4] == 0 || h.codec != codecRaw && h.codec != codecZstd || h.size > SizeMax {
		return 0, damaged("its header makes no sense")
	}
	return at + 4, nil
}
