package logbench

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/s2"
)

// segment is the least that a durable log can be: a preallocated file that is
// overwritten from its beginning when it is full, blocks of as many events as
// eyrie's, compressed alike, a length and a CRC before each, one fdatasync for
// all blocks that came while the one before it ran. No dictionary, no index, no
// mark, nothing that would find a loss, no way to read it but from the front.
type segment struct {
	f      *os.File
	at     int64
	raw    []byte // the block being filled
	rows   int
	blocks chan []byte // to the encoder
	groups chan []byte // to the syncer
	free   chan []byte
	spare  chan []byte
	count  int // blocks handed over and not yet durable
	done   chan written
	idle   atomic.Bool // the syncer waits for a group
}

// written tells of a group.
type written struct {
	blocks int
	err    error
}

const (
	segmentBytes  = 256 << 20
	segmentGroup  = 8 << 20 // a group's bound, as eyrie's
	segmentRows   = 1024    // of a block, as eyrie's
	segmentBlock  = 256 << 10
	segmentAhead  = 8
	segmentGroups = 2
)

func openSegment(path string) (*segment, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, 4<<20)
	for at := int64(0); at < segmentBytes; at += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros, at); err != nil {
			return nil, err
		}
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	s := &segment{f: f, blocks: make(chan []byte, segmentAhead), groups: make(chan []byte), free: make(chan []byte, segmentGroups),
		spare: make(chan []byte, segmentAhead+2), done: make(chan written, 64)}
	for range segmentGroups {
		s.free <- make([]byte, 0, segmentGroup+segmentBlock)
	}
	counts := make(chan int, segmentGroups)
	go s.encode(counts)
	go s.sync(counts)
	return s, nil
}

// encode compresses blocks into the group being filled, and hands that over as
// soon as the syncer takes it.
func (s *segment) encode(counts chan<- int) {
	defer close(s.groups)
	group := <-s.free
	n := 0
	for {
		if n == 0 {
			b, ok := <-s.blocks
			if !ok {
				return
			}
			group, n = s.block(group, b), 1
			continue
		}
		in := s.blocks
		if len(group) >= segmentGroup {
			in = nil
		}
		select {
		case s.groups <- group:
			counts <- n
			group, n = <-s.free, 0
		case b, ok := <-in:
			if !ok {
				s.groups <- group
				counts <- n
				return
			}
			group, n = s.block(group, b), n+1
		}
	}
}

func (s *segment) block(group, raw []byte) []byte {
	at := len(group)
	group = append(group, 0, 0, 0, 0, 0, 0, 0, 0)
	most := s2.MaxEncodedLen(len(raw))
	for cap(group)-len(group) < most {
		group = append(group[:cap(group)], 0)[:len(group)]
	}
	out := s2.Encode(group[len(group):len(group)+most], raw)
	group = group[:len(group)+len(out)]
	binary.LittleEndian.PutUint32(group[at:], uint32(len(out)))
	binary.LittleEndian.PutUint32(group[at+4:], crc32.Checksum(out, castagnoli))
	s.spare <- raw
	return group
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sync makes one group after the other durable.
func (s *segment) sync(counts <-chan int) {
	defer close(s.done)
	s.idle.Store(true)
	for g := range s.groups {
		s.idle.Store(false)
		if s.at+int64(len(g)) > segmentBytes {
			s.at = 0
		}
		_, err := s.f.WriteAt(g, s.at)
		if err == nil {
			err = dataSync(s.f)
		}
		s.at += int64(len(g))
		s.free <- g[:0]
		s.done <- written{<-counts, err}
		s.idle.Store(true)
	}
}

// feed takes a frame of a sender.
func (s *segment) feed(items []Item, conn int, seq uint64, recv int64) error {
	le := binary.LittleEndian
	for i := range items {
		it := &items[i]
		if s.rows >= segmentRows || len(s.raw)+len(it.Payload)+32 > segmentBlock {
			if err := s.hand(); err != nil {
				return err
			}
		}
		b := le.AppendUint32(s.raw, uint32(len(it.Payload)))
		b = le.AppendUint32(b, it.Num)
		b = le.AppendUint32(b, it.Key)
		b = le.AppendUint32(b, uint32(conn))
		b = le.AppendUint64(b, seq+uint64(i))
		b = le.AppendUint64(b, uint64(recv))
		s.raw = append(append(b, it.Class, it.Flags), it.Payload...)
		s.rows++
	}
	if s.idle.Load() && len(s.blocks) == 0 {
		return s.hand()
	}
	return nil
}

func (s *segment) hand() error {
	if s.rows == 0 {
		return nil
	}
	s.count++
	s.blocks <- s.raw
	s.rows = 0
	select {
	case b := <-s.spare:
		s.raw = b[:0]
	default:
		s.raw = make([]byte, 0, segmentBlock)
	}
	for {
		select {
		case d := <-s.done:
			if s.count -= d.blocks; d.err != nil {
				return d.err
			}
		default:
			return nil
		}
	}
}

// settle waits until all is durable.
func (s *segment) settle() error {
	if err := s.hand(); err != nil {
		return err
	}
	for s.count > 0 {
		d := <-s.done
		if s.count -= d.blocks; d.err != nil {
			return d.err
		}
	}
	return nil
}

func (s *segment) close() error {
	close(s.blocks)
	for range s.done {
	}
	return s.f.Close()
}

// run feeds frames of the pool from number n on until d is over, and returns
// the number after the last one.
func (s *segment) run(p *Pool, n int, d time.Duration) (int, error) {
	var items [FrameEvents]Item
	for end := time.Now().Add(d); time.Now().Before(end); n++ {
		p.Frame(n, &items)
		if err := s.feed(items[:], n%Connections, uint64(n/Connections*FrameEvents), time.Now().UnixNano()); err != nil {
			return n, err
		}
	}
	return n, s.settle()
}
