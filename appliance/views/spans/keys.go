package spans

import "encoding/binary"

// Keys in the views store; numbers big-endian, integers within values as
// varints. Rows of one save lie in pages in order of their start; what finds
// them are packs of entries, one for each group and stretch of time in a save:
//
//	's' 0x01 era bucket page              pack   all rows
//	's' 0x02 era hash>>48 (2) page        ids    look-up by (space, span)
//	's' 0x03 era agent(4) bucket page     pack   by agent
//	's' 0x04 era type bucket page         pack   runs, tasks and asks by type
//	's' 0x05 hash>>52 (2)                 rows   snapshot of the open spans in memory
//	's' 0x06 era parent hash bucket page  pack   children that neither the parent's agent nor its run leads to
//	's' 0x07 era run hash bucket page     pack   spans of a run by agents other than its owner
//	's' 0x08 run hash                     tally
//	's' 0x09 agent>>6 (4)                 counts of 64 agents
//	's' 0x0a                              offset folded, rows ever, next page, eras, layers of the filter
//	's' 0x0b bucket off                   pack   an open row that left memory
//	's' 0x0c page                         rows   a page
//	's' 0x0d era off                      page   of the version that took the place of this row's in the era
//	's' 0x0e era run hash                 none   a run whose tally was saved in the era
//
// era (4) numbers the stretch of saves that a key belongs to (era.go). bucket is
// start + 2^63 ns without its low bits (shift); page is the page of
// the first entry, of ids the first page of the save. Pages are numbered
// through, so a higher page is newer: of several versions of a row the one of
// the highest page counts.
const (
	prefix   = 's'
	kTime    = 0x01
	kID      = 0x02
	kAgent   = 0x03
	kType    = 0x04
	kOpen    = 0x05
	kParent  = 0x06
	kRun     = 0x07
	kTally   = 0x08
	kCounts  = 0x09
	kHead    = 0x0a
	kSpilled = 0x0b
	kPage    = 0x0c
	kNewer   = 0x0d
	kSaved   = 0x0e
	tailLen  = 16
)

// shift is how many low bits of ns a bucket of that kind of pack spans: a
// reader sorts the entries of one bucket at a time.
func shift(kind byte) uint {
	switch kind {
	case kTime, kType, kSpilled:
		return 30 // 1.07 s
	}
	return 34 // 17 s
}

func bucketOf(kind byte, start int64) uint64 { return (uint64(start) ^ 1<<63) >> shift(kind) }

func appendStart(dst []byte, ns int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(ns)^1<<63)
}

func (k key) append(dst []byte) []byte {
	return binary.BigEndian.AppendUint64(appendStart(dst, k.start), k.off)
}

// keyOf reads what append wrote.
func keyOf(b []byte) key {
	return key{int64(binary.BigEndian.Uint64(b) ^ 1<<63), binary.BigEndian.Uint64(b[8:])}
}

// tailOf reads bucket and page off the end of a pack's key.
func tailOf(b []byte) (bucket, page uint64) {
	b = b[len(b)-tailLen:]
	return binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
}

func appendTail(dst []byte, bucket, page uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, bucket), page)
}

func prefixed(dst []byte, kind byte) []byte { return append(dst, prefix, kind) }

// inEra begins the keys of a kind in an era.
func inEra(dst []byte, kind byte, era uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, prefix, kind), era)
}

func hashed(dst []byte, kind byte, h uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, prefix, kind), h)
}

func numbered(dst []byte, kind byte, n uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, prefix, kind), n)
}

func short(dst []byte, kind byte, n uint16) []byte {
	return binary.BigEndian.AppendUint16(append(dst, prefix, kind), n)
}

// after returns the first key behind all that begin with b.
func after(b []byte) []byte {
	out := append([]byte(nil), b...)
	for i := len(out) - 1; i >= 0; i-- {
		out[i]++
		if out[i] != 0 {
			return out[:i+1]
		}
	}
	return nil
}
