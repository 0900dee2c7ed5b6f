//go:build linux

package engine

import (
	"encoding/binary"
	"fmt"

	"eyrie/netpoll"
)

// ItemKind says what an Item carries. Zero is invalid.
type ItemKind uint8

// The kinds, in the order in which a link can produce them first.
const (
	ItemHello    ItemKind = 1 + iota // Payload: DecodeHello
	ItemEvent                        // Seq, Class, Flags, Key, TS, Agent, Payload (canonical MessagePack map)
	ItemRefused                      // Seq; Payload: Item.Refusal
	ItemPos                          // Seq (last number of its frame); Payload: the producer's position
	ItemFrameEnd                     // Seq (last number of the frame): the unit of acknowledgement
	ItemLost                         // Seq..To; Payload: reason
	ItemShed                         // Seq..To, Class: numbers dropped by admission; Payload: CutShedPart
	ItemResult                       // Payload: Item.Result
	ItemClosed                       // Seq: close code (1006 if the link broke); Payload: reason; last item of the link
	ItemMessage                      // Seq: opcode; Payload: what a generic socket sent to the ring
)

var itemNames = [...]string{"invalid", "hello", "event", "refused", "pos", "frame_end", "lost", "shed", "result", "closed", "message"}

// String returns the kind's name.
func (k ItemKind) String() string {
	if int(k) < len(itemNames) {
		return itemNames[k]
	}
	return fmt.Sprintf("ItemKind(%d)", uint8(k))
}

// Item is one record of a loop's ring. Agent and Payload alias the record and
// are valid until the consumer releases it.
type Item struct {
	Kind    ItemKind
	Class   uint8 // wire.Type of an event; the highest wire.Prio of ItemShed
	Flags   uint8 // wire.Head.Flags of an event: phase, severity, priority
	Link    netpoll.Handle
	Seq     uint64
	To      uint64 // ItemLost and ItemShed only
	Key     uint32 // low bits of the run's hash, 0 = no run
	TS      int64  // unix ns, 0 = none given
	Agent   []byte // events: never empty, the link's default is filled in
	Payload []byte
}

// An item in the ring, little endian:
//
//	0  kind u8 | class u8 | flags u8 | len(agent) u8 | key u32
//	8  link u64
//	16 seq u64
//	24 ts i64 (ItemLost, ItemShed: to u64)
//	32 agent | payload (to the end of the record)
const itemHead = 32

// putItem writes head and agent and returns where the payload goes. rec is
// itemHead + len(agent) + len(payload) bytes; agent at most 255 bytes.
func putItem(rec []byte, kind ItemKind, link netpoll.Handle, seq uint64, agent []byte) []byte {
	_ = rec[itemHead-1]
	rec[0] = uint8(kind)
	rec[1], rec[2] = 0, 0
	rec[3] = uint8(len(agent))
	binary.LittleEndian.PutUint32(rec[4:], 0)
	binary.LittleEndian.PutUint64(rec[8:], uint64(link))
	binary.LittleEndian.PutUint64(rec[16:], seq)
	binary.LittleEndian.PutUint64(rec[24:], 0)
	n := copy(rec[itemHead:], agent)
	return rec[itemHead+n:]
}

// putMessage writes the head of an ItemMessage.
func putMessage(rec []byte, link, op uint64) {
	_ = rec[itemHead-1]
	binary.LittleEndian.PutUint64(rec, uint64(ItemMessage))
	binary.LittleEndian.PutUint64(rec[8:], link)
	binary.LittleEndian.PutUint64(rec[16:], op)
	binary.LittleEndian.PutUint64(rec[24:], 0)
}

// putEventHead adds what only events carry.
func putEventHead(rec []byte, class, flags uint8, key uint32, ts int64) {
	rec[1], rec[2] = class, flags
	binary.LittleEndian.PutUint32(rec[4:], key)
	binary.LittleEndian.PutUint64(rec[24:], uint64(ts))
}

// DecodeItem reads one ring record into it, overwriting every field. It does
// not allocate.
func DecodeItem(rec []byte, it *Item) error {
	if len(rec) < itemHead || rec[0] == 0 || rec[0] > uint8(ItemMessage) || itemHead+int(rec[3]) > len(rec) {
		return ErrItem
	}
	it.Kind = ItemKind(rec[0])
	it.Class, it.Flags = rec[1], rec[2]
	it.Key = binary.LittleEndian.Uint32(rec[4:])
	it.Link = netpoll.Handle(binary.LittleEndian.Uint64(rec[8:]))
	it.Seq = binary.LittleEndian.Uint64(rec[16:])
	last := binary.LittleEndian.Uint64(rec[24:])
	it.TS, it.To = int64(last), 0
	if it.Kind == ItemLost || it.Kind == ItemShed {
		it.TS, it.To = 0, last
	}
	end := itemHead + int(rec[3])
	it.Agent = rec[itemHead:end:end]
	it.Payload = rec[end:]
	return nil
}

// AppendItem appends it as a ring record. The loops write in place; this is for
// tests and simulators that feed a ring without links.
func AppendItem(dst []byte, it *Item) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, itemHead+len(it.Agent)+len(it.Payload))...)
	rec := dst[at:]
	copy(putItem(rec, it.Kind, it.Link, it.Seq, it.Agent), it.Payload)
	ts := it.TS
	if it.Kind == ItemLost || it.Kind == ItemShed {
		ts = int64(it.To)
	}
	putEventHead(rec, it.Class, it.Flags, it.Key, ts)
	return dst
}
