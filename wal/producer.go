package wal

import (
	"encoding/binary"
	"fmt"
	"sync"

	"eyrie/wal/block"
)

// ProducerKey names a producer: the space and the owner of the key it came
// with, and the id it gave itself.
type ProducerKey struct {
	Space, Owner string
	ID           [16]byte
}

// producer is the writer's state of one.
type producer struct {
	// what each record touches
	next    uint64 // lowest number not settled
	rngBase uint64 // block in which range rng is open
	rng     int
	recv    int64        // of its last record
	digest  block.Digest // of its records from Log.digestsFrom on
	num     uint32
	dirty   bool // differs from the checkpoint

	epoch    uint64
	lastBase uint64 // newest block with a range of it, 0 for none
	prevBase uint64 // the one before lastBase
	key      ProducerKey
	pos      []byte
	// beyond is the lowest number that a search back along the chain still
	// reached; those below it count as the same without another search.
	beyond uint64
}

// A producer's checkpoint value: id 16, epoch 8, next 8, last base 8, recv 8,
// then space, owner and pos, each with a uvarint length, then its digest: stored
// 8, settled 8, sum 8. Earlier releases wrote none.

func (p *producer) encode(dst []byte) []byte {
	le := binary.LittleEndian
	dst = append(dst, p.key.ID[:]...)
	dst = le.AppendUint64(dst, p.epoch)
	dst = le.AppendUint64(dst, p.next)
	dst = le.AppendUint64(dst, p.lastBase)
	dst = le.AppendUint64(dst, uint64(p.recv))
	dst = appendString(dst, p.key.Space)
	dst = appendString(dst, p.key.Owner)
	dst = appendString(dst, p.pos)
	return appendDigest(dst, p.digest)
}

func decodeProducer(num uint32, v []byte) (*producer, error) {
	bad := fmt.Errorf("producer %d: its checkpoint is damaged", num)
	if len(v) < 48 {
		return nil, bad
	}
	le := binary.LittleEndian
	p := &producer{num: num, epoch: le.Uint64(v[16:]), next: le.Uint64(v[24:]), lastBase: le.Uint64(v[32:]), recv: int64(le.Uint64(v[40:]))}
	copy(p.key.ID[:], v)
	var f [3][]byte
	rest, ok := v[48:], true
	for i := range f {
		if f[i], rest, ok = cutString(rest); !ok {
			return nil, bad
		}
	}
	p.key.Space, p.key.Owner, p.pos = string(f[0]), string(f[1]), append([]byte(nil), f[2]...)
	if len(rest) != 0 && len(rest) != digestBytes {
		return nil, bad
	}
	p.digest = cutDigest(rest)
	return p, nil
}

// The payload of a ProducerDict record: id 16, then space and owner.

func appendProducerKey(dst []byte, k *ProducerKey) []byte {
	dst = append(dst, k.ID[:]...)
	dst = appendString(dst, k.Space)
	return appendString(dst, k.Owner)
}

func decodeProducerKey(v []byte) (k ProducerKey, ok bool) {
	if len(v) < 16 {
		return k, false
	}
	copy(k.ID[:], v)
	space, rest, ok := cutString(v[16:])
	owner, rest, ok2 := cutString(rest)
	k.Space, k.Owner = string(space), string(owner)
	return k, ok && ok2 && len(rest) == 0
}

// ProducerState is what the log durably knows of a producer.
type ProducerState struct {
	Num   uint32
	Key   ProducerKey
	Epoch uint64
	Next  uint64 // lowest number not settled
	Recv  int64  // of its last record
}

// producerView is the durable state, for others than the writer.
type producerView struct {
	mu sync.RWMutex
	m  map[uint32]*ProducerState
}

// Producers calls fn for each producer, in no order, until fn returns false.
func (l *Log) Producers(fn func(ProducerState) bool) {
	l.producers.mu.RLock()
	defer l.producers.mu.RUnlock()
	for _, p := range l.producers.m {
		if !fn(*p) {
			return
		}
	}
}

// Producer returns the state of producer num.
func (l *Log) Producer(num uint32) (ProducerState, bool) {
	l.producers.mu.RLock()
	defer l.producers.mu.RUnlock()
	p, ok := l.producers.m[num]
	if !ok {
		return ProducerState{}, false
	}
	return *p, true
}

// publish takes what a durable block says about producers.
func (v *producerView) publish(b *Block) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if b.Kinds()&(KindProducerDict.Mask()|KindFence.Mask()|KindExpired.Mask()) != 0 {
		for i := range b.Len() {
			r := b.Record(i)
			switch r.Kind {
			case KindProducerDict:
				k, _ := decodeProducerKey(r.Payload)
				v.m[r.Producer] = &ProducerState{Num: r.Producer, Key: k, Next: 1, Recv: r.Recv}
			case KindExpired:
				delete(v.m, r.Producer)
			case KindFence:
				if p := v.m[r.Producer]; p != nil && len(r.Payload) >= 8 {
					p.Epoch, p.Recv = binary.LittleEndian.Uint64(r.Payload), r.Recv
				}
			}
		}
	}
	for _, g := range b.Ranges() {
		if p := v.m[g.Producer]; p != nil {
			p.Next, p.Recv = g.To+1, b.RecvMax()
		}
	}
}
