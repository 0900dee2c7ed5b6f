package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The tables of agents and producers are a fold over the log. A checkpoint
// writes the entries that changed, in the batch of a commit, so that Open folds
// only what lies behind it. Value of the key "mcheckpoint": next offset 8,
// recv of the last record 8, agents 4, lowest producer number never given 4.
type checkpoint struct {
	next   uint64
	recv   int64
	agents uint32
	free   uint32
}

const checkpointBytes = 24

func (c *checkpoint) encode() []byte {
	le := binary.LittleEndian
	p := le.AppendUint64(nil, c.next)
	p = le.AppendUint64(p, uint64(c.recv))
	p = le.AppendUint32(p, c.agents)
	return le.AppendUint32(p, c.free)
}

func (c *checkpoint) decode(p []byte) error {
	if len(p) != checkpointBytes {
		return errors.New("the log's checkpoint is damaged")
	}
	le := binary.LittleEndian
	*c = checkpoint{next: le.Uint64(p), recv: int64(le.Uint64(p[8:])), agents: le.Uint32(p[16:]), free: le.Uint32(p[20:])}
	return nil
}

// checkpoint adds to ops the keys that bring the stored tables to the writer's
// state, which is that at the end of the group being handed over.
func (w *Writer) checkpoint(ops []op) []op {
	w.l.metrics.checkpoints.Inc()
	names := w.l.agents.names // only the writer adds
	for i := w.ckptAgent; i < len(names); i++ {
		ops = append(ops, op{key4(prefixAgent, uint32(i+1)), appendString(appendString(nil, names[i].space), names[i].id)})
	}
	w.ckptAgent = len(names)
	for _, pr := range w.dirty {
		pr.dirty = false
		o := op{key: key4(prefixProducer, pr.num)}
		if int(pr.num) < len(w.producers) && w.producers[pr.num] == pr {
			o.value = pr.encode(nil)
		}
		ops = append(ops, o)
	}
	clear(w.dirty)
	w.dirty = w.dirty[:0]
	ops = putDigests(ops, w.unnumbered, w.l.digestsFrom, w.next)
	c := checkpoint{next: w.next, recv: w.recv, agents: uint32(len(names)), free: w.free}
	return append(ops, op{[]byte(metaCheckpoint), c.encode()})
}

func errFold(off uint64, err error) error { return fmt.Errorf("offset %d: %w", off, err) }
