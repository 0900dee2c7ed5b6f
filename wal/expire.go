package wal

import (
	"encoding/binary"
	"time"
)

// expireScan is how many producers one call of Expire looks at.
const expireScan = 1024

// Expire looks at some producers, others with each call, and forgets those that
// over tells to: idle is how long ago their last record was. Each leaves a
// record, KindExpired. What such a producer sends again is that of one never
// seen: it begins at its first number, and what lies before is recorded as lost.
// It may be called only for producers that nobody will append to: see Append.
func (w *Writer) Expire(over func(p uint32, k *ProducerKey, idle time.Duration) bool) {
	now := w.clock()
	for range min(expireScan, len(w.producers)) {
		if w.walled {
			return
		}
		if w.expireAt >= len(w.producers) {
			w.expireAt = 0
		}
		pr := w.producers[w.expireAt]
		w.expireAt++
		if pr != nil && over(pr.num, &pr.key, time.Duration(now-pr.recv)) {
			w.forget(pr)
		}
	}
}

func (w *Writer) forget(pr *producer) {
	w.scratch = binary.LittleEndian.AppendUint64(w.scratch[:0], pr.epoch)
	w.add(&Record{Kind: KindExpired, Producer: pr.num, Seq: pr.next, Recv: w.clock(), Payload: w.scratch}, -1)
	w.producers[pr.num] = nil
	delete(w.byKey, pr.key)
	w.touch(pr)
}
