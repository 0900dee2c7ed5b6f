package wal

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"eyrie/wal/block"
)

// groupBlocksMax bounds the blocks of a group.
const groupBlocksMax = 64

// Writer takes records into the group being filled. It belongs to one
// goroutine; nothing in it waits for the disk.
type Writer struct {
	l          *Log
	cur        *block.Builder
	grp        *group
	next       uint64 // offset of the next record
	recv       int64  // of the last record
	producers  []*producer
	byKey      map[ProducerKey]*producer
	free       uint32 // lowest producer number never given
	dirty      []*producer
	unnumbered block.Digest // of records that no producer numbers
	ckptAgent  int          // agents already in the checkpoint
	sinceCkpt  int64        // bytes of payload since the checkpoint
	scratch    []byte
	hint       int // bytes to reserve for the next block's payload
	hintRows   int // and its records
	judge      judge
	expireAt   int      // producer that Expire looks at next
	pending    []*Block // handed over, perhaps not yet in the store
	diskAsked  time.Time
	walled     bool
}

// rowBytes is about what a record weighs beside its payload.
const rowBytes = 40

// Welcome is what a producer is told when it begins.
type Welcome struct {
	Next uint64 // lowest number not settled
	Pos  []byte // as committed with Pos; nil for none
	// GapFrom..GapTo are numbers that were neither seen nor given up before
	// this fence; zero for none. They have been recorded as lost.
	GapFrom, GapTo uint64
}

// Err returns why the log takes no more records, or nil.
func (w *Writer) Err() error { return w.l.Err() }

// Pending tells whether the group being filled holds anything.
func (w *Writer) Pending() bool { return w.cur.Len() > 0 || len(w.grp.blocks) > 0 }

// aheadMax is how many sealed blocks may wait for the encoder. More would not
// make it faster, and whoever comes last would wait for all of them.
const aheadMax = 8

// Full tells that the group has reached its bound, or is too far ahead of the
// encoder: commit before appending more. Options.Ready tells when to ask again.
func (w *Writer) Full() bool {
	full := len(w.l.work) >= aheadMax || len(w.grp.blocks) >= groupBlocksMax || w.grp.bytes+w.cur.Bytes()+rowBytes*w.cur.Len() >= w.l.o.GroupBytes
	if full {
		w.l.sealer.pressed.signs.Add(1)
	}
	return full
}

// Next returns the offset that the next record will get.
func (w *Writer) Next() uint64 { return w.next }

// Agent returns the dense number of an agent, in all records from now on. On
// first sight it appends the dictionary record. space and id are copied.
func (w *Writer) Agent(space, id []byte) uint32 {
	if n := w.l.agents.find(space, id); n != 0 {
		return n
	}
	return w.newAgent(string(space), string(id))
}

func (w *Writer) newAgent(space, id string) uint32 {
	n := w.l.agents.add(space, id)
	w.scratch = appendString(appendString(w.scratch[:0], space), id)
	w.add(&Record{Kind: KindAgentDict, Agent: n, Recv: w.clock(), Payload: w.scratch}, -1)
	return n
}

// Append takes one numbered record of producer p. recv is Unix ns and is raised
// to the last record's if it lies before. payload is copied; at most
// block.RecordBytesMax. The verdict Stored does not mean durable: see Commit.
func (w *Writer) Append(p uint32, seq uint64, class, flags uint8, agent, key uint32, recv int64, payload []byte) Verdict {
	pr := w.producers[p]
	if seq != pr.next || w.walled {
		return w.odd(pr, seq, class, flags, agent, key, payload)
	}
	if recv < w.recv {
		recv = w.recv
	}
	if !w.cur.Fits(len(payload)) {
		if len(payload) > block.RecordBytesMax {
			return Refuse
		}
		w.seal()
	}
	if pr.rngBase == w.cur.Base() {
		w.cur.Settle(pr.rng, seq)
	} else {
		w.openRange(pr, seq, seq)
	}
	w.recv = recv
	pr.next = seq + 1
	pr.recv = recv
	pr.digest.AddEvent(w.next, seq, recv, p, agent, key, class, flags)
	w.cur.Event(p, seq, class, flags, agent, key, recv, payload, pr.rng)
	w.next++
	return Stored
}

// odd judges what is not simply the next number.
func (w *Writer) odd(pr *producer, seq uint64, class, flags uint8, agent, key uint32, payload []byte) Verdict {
	switch {
	case seq < pr.next:
		v := w.settled(pr, &Record{Kind: KindEvent, Class: class, Flags: flags, Producer: pr.num, Seq: seq, Agent: agent, Key: key, Payload: payload})
		if v == Duplicate {
			w.l.metrics.duplicates.Inc()
		} else {
			w.l.metrics.conflicts.Inc()
		}
		return v
	case seq > pr.next:
		w.l.metrics.gaps.Inc()
		return Gap
	}
	w.l.metrics.refused.Inc()
	return Refuse
}

// Refused settles number seq of p without content: it was refused, payload says why.
func (w *Writer) Refused(p uint32, seq uint64, payload []byte) Verdict {
	return w.settle(&Record{Kind: KindRefused}, p, seq, seq, payload)
}

// Shed settles numbers from..to of p without content: they were shed. class and
// payload are the caller's. Of a range that is settled in part, the rest is
// taken.
func (w *Writer) Shed(p uint32, from, to uint64, class uint8, payload []byte) Verdict {
	return w.settle(&Record{Kind: KindShed, Class: class}, p, from, to, payload)
}

// Lost settles numbers from..to of p without content: the producer gives them up.
// Of a range that is settled in part, the rest is taken.
func (w *Writer) Lost(p uint32, from, to uint64, payload []byte) Verdict {
	return w.settle(&Record{Kind: KindLost}, p, from, to, payload)
}

func (w *Writer) settle(r *Record, p uint32, from, to uint64, payload []byte) Verdict {
	pr := w.producers[p]
	switch {
	case to < pr.next || to < from:
		w.l.metrics.duplicates.Inc()
		return Duplicate
	case from > pr.next:
		w.l.metrics.gaps.Inc()
		return Gap
	case w.walled || len(payload)+8 > block.RecordBytesMax:
		w.l.metrics.refused.Inc()
		return Refuse
	}
	w.number(r, pr, pr.next, to, payload)
	return Stored
}

// number appends r, which the caller has given kind, class and agent, as the
// record that settles from..to of pr, whatever they were.
func (w *Writer) number(r *Record, pr *producer, from, to uint64, payload []byte) {
	if r.Kind == KindLost || r.Kind == KindShed {
		w.scratch = append(block.AppendTo(w.scratch[:0], to), payload...)
		payload = w.scratch
	}
	r.Producer, r.Seq, r.Recv, r.Payload = pr.num, from, w.clock(), payload
	w.room(len(payload))
	if pr.rngBase == w.cur.Base() {
		w.cur.Settle(pr.rng, to)
	} else {
		w.openRange(pr, from, to)
	}
	pr.next, pr.recv = to+1, r.Recv
	w.add(r, pr.rng)
}

// Fence begins a session of the producer: all that follows it in the log is of
// this epoch. first is the lowest number the producer still holds; numbers
// between the log's next and first are recorded as lost. The first sight of a
// producer appends its dictionary record. It returns ErrEpochLow, ErrDiskFull
// or ErrFailed, wrapped, and appends nothing then.
func (w *Writer) Fence(k ProducerKey, epoch, first uint64) (p uint32, wel Welcome, err error) {
	if err := w.refusal(); err != nil {
		return 0, Welcome{}, err
	}
	pr := w.byKey[k]
	if pr != nil && epoch < pr.epoch {
		return 0, Welcome{}, fmt.Errorf("%w: epoch %d, seen %d", ErrEpochLow, epoch, pr.epoch)
	}
	if pr == nil {
		pr = &producer{key: k, num: w.free, next: 1}
		w.addProducer(pr)
		w.scratch = appendProducerKey(w.scratch[:0], &k)
		w.add(&Record{Kind: KindProducerDict, Producer: pr.num, Recv: w.clock(), Payload: w.scratch}, -1)
	}
	pr.epoch = epoch
	pr.rngBase = 0 // what follows is a range of its own
	pr.recv = w.clock()
	w.touch(pr)
	w.scratch = binary.LittleEndian.AppendUint64(w.scratch[:0], epoch)
	w.scratch = binary.LittleEndian.AppendUint64(w.scratch, first)
	w.add(&Record{Kind: KindFence, Producer: pr.num, Seq: pr.next, Recv: pr.recv, Payload: w.scratch}, -1)
	if first > pr.next {
		wel.GapFrom, wel.GapTo = pr.next, first-1
		w.number(&Record{Kind: KindLost}, pr, pr.next, first-1, []byte("gap"))
	}
	wel.Next = pr.next
	if pr.pos != nil {
		wel.Pos = append([]byte(nil), pr.pos...)
	}
	return pr.num, wel, nil
}

func (w *Writer) addProducer(pr *producer) {
	for int(pr.num) >= len(w.producers) {
		w.producers = append(w.producers, nil)
	}
	w.producers[pr.num] = pr
	w.byKey[pr.key] = pr
	w.free = max(w.free, pr.num+1)
}

// Epoch returns the epoch of the newest fence of producer p.
func (w *Writer) Epoch(p uint32) uint64 { return w.producers[p].epoch }

// NextSeq returns the lowest number of producer p that is not settled.
func (w *Writer) NextSeq(p uint32) uint64 { return w.producers[p].next }

// Pos keeps the producer's own position, opaque, in the same commit as what was
// appended before it; Fence gives it back. pos is copied.
func (w *Writer) Pos(p uint32, pos []byte) Verdict {
	if w.walled || len(pos) > block.RecordBytesMax {
		return Refuse
	}
	pr := w.producers[p]
	pr.pos = append(pr.pos[:0], pos...)
	w.touch(pr)
	w.add(&Record{Kind: KindPos, Producer: p, Recv: w.clock(), Payload: pos}, -1)
	return Stored
}

// System appends a record of the caller's that no producer numbers: Link, Tick,
// System or a kind above it. It returns its offset, or 0 while the log refuses.
func (w *Writer) System(kind Kind, class uint8, agent uint32, payload []byte) uint64 {
	if w.walled || len(payload) > block.RecordBytesMax {
		return 0
	}
	return w.add(&Record{Kind: kind, Class: class, Agent: agent, Recv: w.clock(), Payload: payload}, -1)
}

// Wall returns why the log refuses records now (wrapping ErrDiskFull or
// ErrFailed), or nil. It asks for the disk again once a second.
func (w *Writer) Wall() error {
	w.checkDisk()
	return w.refusal()
}

func (w *Writer) refusal() error {
	if err := w.l.Err(); err != nil {
		return err
	}
	if w.walled {
		return w.l.Wall()
	}
	return nil
}

// diskEvery is how often the disk is asked for its room.
const diskEvery = time.Second

func (w *Writer) checkDisk() {
	now := w.l.o.Now()
	if !w.diskAsked.IsZero() && now.Sub(w.diskAsked) < diskEvery && !now.Before(w.diskAsked) {
		w.walled = w.l.Wall() != nil || w.l.Err() != nil
		return
	}
	w.diskAsked = now
	w.l.checkDisk()
	w.walled = w.l.Wall() != nil || w.l.Err() != nil
}

// clock is now, or the last record's recv if that is later.
func (w *Writer) clock() int64 { return max(w.l.o.Now().UnixNano(), w.recv) }

// room makes sure that the current block takes n bytes more.
func (w *Writer) room(n int) {
	if !w.cur.Fits(n) {
		w.seal()
	}
}

func (w *Writer) add(r *Record, rng int) uint64 {
	w.room(len(r.Payload))
	w.recv = r.Recv
	r.Offset = w.next
	if r.Kind.Numbered() {
		w.producers[r.Producer].digest.Add(r)
	} else {
		w.unnumbered.Add(r)
	}
	w.next++
	return w.cur.Append(r, rng)
}

// openRange opens a range of pr in the current block.
func (w *Writer) openRange(pr *producer, from, to uint64) {
	base := w.cur.Base()
	if pr.lastBase != base {
		pr.prevBase, pr.lastBase = pr.lastBase, base
	}
	pr.rng = w.cur.OpenRange(block.Range{Producer: pr.num, Epoch: pr.epoch, From: from, To: to, Prev: pr.prevBase})
	pr.rngBase = base
	w.touch(pr)
}

func (w *Writer) touch(pr *producer) {
	if !pr.dirty {
		pr.dirty = true
		w.dirty = append(w.dirty, pr)
	}
}

// seal ends the current block and begins the next.
func (w *Writer) seal() {
	if w.cur.Len() == 0 {
		return
	}
	n := w.cur.Bytes()
	b := w.cur.Block()
	w.grp.blocks = append(w.grp.blocks, b)
	w.grp.bytes += n + rowBytes*b.Len()
	w.pending = append(w.pending, b)
	w.l.work <- work{block: b}
	w.hint = min(max(n+n/8, 1<<10), block.PayloadBytesMax)
	w.hintRows = min(max(b.Len()+b.Len()/4, 16), block.RecordsMax)
	w.cur = block.NewBuilder(w.next, w.hintRows, w.hint)
}

// Commit hands the group over if no commit is in flight; token comes back
// through Options.Committed. Otherwise it returns false and the group goes on
// filling: Options.Ready tells when to try again. A group without records may
// be handed over too: its token comes back after those before it.
func (w *Writer) Commit(token any) bool {
	if w.l.inflight.Load() {
		return false
	}
	w.hand(token, false)
	return true
}

func (w *Writer) hand(token any, last bool) {
	w.checkDisk()
	w.seal()
	g := w.grp
	g.token, g.end = token, w.next
	w.sinceCkpt += int64(g.bytes)
	if w.sinceCkpt >= w.l.o.CheckpointBytes || last {
		if w.l.due.Store(w.next); !w.l.still.Load() || last {
			g.ops = w.checkpoint(g.ops)
			w.sinceCkpt = 0
		}
	}
	if w.l.digestsAsked.CompareAndSwap(true, false) {
		g.digests = &DigestsAt{Next: w.next, Digests: digestsOf(slices.Values(w.producers), w.unnumbered)}
	}
	w.grp = &group{first: w.next}
	w.settlePending()
	w.l.inflight.Store(true)
	w.l.work <- work{group: g}
}

// finish hands over what is left and a checkpoint.
func (w *Writer) finish() {
	w.hand(nil, true)
}

// settlePending forgets blocks that the store has.
func (w *Writer) settlePending() {
	durable, n := w.l.Next(), 0
	for n < len(w.pending) && w.pending[n].Next() <= durable {
		n++
	}
	w.pending = append(w.pending[:0], w.pending[n:]...)
}
