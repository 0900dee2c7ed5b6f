package block

import "math/bits"

// Digest is what is known of some records of one producer: how many numbers
// they settle, and a sum over the records that no other set of them has but by
// chance. Digests of parts of a log add up, whatever the parts are: blocks, or
// records that were sealed.
type Digest struct {
	Stored  uint64 // events
	Settled uint64 // numbers with any fate: stored, refused, shed, lost
	Sum     uint64 // modulo 2^64, of a hash of each record's envelope
}

// Unnumbered stands for the producer of what no producer numbers: dictionaries,
// fences, ticks, what the caller appends itself. Numbers of producers begin at 1.
// Its Settled counts records.
const Unnumbered = 0

// odd constants with as many bits set as not
const (
	mix0 = 0xa0761d6478bd642f
	mix1 = 0xe7037ed1a0b428db
	mix2 = 0x8ebc6af09c88c6e3
	mix3 = 0x589965cc75374cc3
	mix4 = 0x1d8e4e27c47d124f
)

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// hash is over the envelope, the offset included. The payload is left to the
// checksums of blocks and chunks: it may be forgotten, and no digest changes.
func hash(off, seq uint64, recv int64, producer, agent, key uint32, kind Kind, class, flags uint8) uint64 {
	what := uint64(kind) | uint64(class)<<8 | uint64(flags)<<16
	a := mix(off^mix0, seq^mix1)
	b := mix(uint64(recv)^uint64(producer)<<32^mix2, uint64(agent)|uint64(key)<<32^mix3)
	return mix(a^what, b^mix4)
}

// AddEvent adds an event.
func (d *Digest) AddEvent(off, seq uint64, recv int64, producer, agent, key uint32, class, flags uint8) {
	d.Stored++
	d.Settled++
	d.Sum += hash(off, seq, recv, producer, agent, key, KindEvent, class, flags)
}

// Add adds a record of any kind. Settled counts 1 for one without a number.
func (d *Digest) Add(r *Record) {
	if r.Kind == KindEvent || r.Kind == KindForgotten { // it was an event
		d.AddEvent(r.Offset, r.Seq, r.Recv, r.Producer, r.Agent, r.Key, r.Class, r.Flags)
		return
	}
	d.Settled++
	if r.Kind.Numbered() {
		d.Settled += r.To() - r.Seq
	}
	d.Sum += hash(r.Offset, r.Seq, r.Recv, r.Producer, r.Agent, r.Key, r.Kind, r.Class, r.Flags)
}

// Plus returns d and e together; Minus returns d less e, which is part of it.
func (d Digest) Plus(e Digest) Digest {
	return Digest{d.Stored + e.Stored, d.Settled + e.Settled, d.Sum + e.Sum}
}

// Minus is the opposite of Plus.
func (d Digest) Minus(e Digest) Digest {
	return Digest{d.Stored - e.Stored, d.Settled - e.Settled, d.Sum - e.Sum}
}

// DigestOf is a digest and whose it is.
type DigestOf struct {
	Producer uint32
	Digest   Digest
	Expired  bool // the producer was forgotten here
}

// AppendDigests appends the digests of the records from index from to below to:
// one for each run of records of one producer.
func (b *Block) AppendDigests(dst []DigestOf, from, to int) []DigestOf {
	for i := from; i < to; {
		x := &b.rows[i]
		if x.kind != KindEvent {
			dst = b.other(dst, i)
			i++
			continue
		}
		whose, n, sum := x.producer, uint64(0), uint64(0)
		for ; i < to; i++ {
			if x = &b.rows[i]; x.producer != whose || x.kind != KindEvent {
				break
			}
			what := uint64(KindEvent) | uint64(x.class)<<8 | uint64(x.flags)<<16
			sum += mix(mix((b.base+uint64(i))^mix0, x.seq^mix1)^what,
				mix(uint64(x.recv)^uint64(whose)<<32^mix2, uint64(x.agent)|uint64(x.key)<<32^mix3)^mix4)
			n++
		}
		dst = append(dst, DigestOf{Producer: whose, Digest: Digest{n, n, sum}})
	}
	return dst
}

// other appends the digest of a record that is no event.
func (b *Block) other(dst []DigestOf, i int) []DigestOf {
	rec := b.Record(i)
	o := DigestOf{Producer: rec.Producer}
	if !rec.Kind.Numbered() {
		o.Producer = Unnumbered
	}
	o.Digest.Add(&rec)
	if dst = append(dst, o); rec.Kind == KindExpired {
		dst = append(dst, DigestOf{Producer: rec.Producer, Expired: true})
	}
	return dst
}
