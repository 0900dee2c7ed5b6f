package stretch

import "eyrie/wal/block"

// Forget encodes a chunk again without what forget takes from its records, see
// block.Block.Forget, and brings c up to it. p is the chunk decoded. Value is
// borrowed until the next call; nil, with c as it was, if no record was changed.
func (w *Writer) Forget(c *ChunkInfo, p *Part, forget func(*block.Record) bool) (value []byte, n, bytes int) {
	w.chunk = w.chunk[:0]
	for i := range p.Len() {
		e := entry{rec: p.Record(i)}
		e.at = uint32(e.rec.Offset - c.FirstOffset)
		was := len(e.rec.Payload)
		if forget(&e.rec) {
			n++
			bytes += was - len(e.rec.Payload)
		}
		w.chunk = append(w.chunk, e)
	}
	if n == 0 {
		return nil, 0, 0
	}
	now := ChunkInfo{Tier: c.Tier, No: c.No}
	value = w.enc.chunk(&now, w.chunk)
	*c = now
	return value, n, bytes
}

// Copy returns an index like x, of which Chunks and Bytes may be changed.
func (x *Index) Copy() *Index {
	c := *x
	c.Chunks = append([]ChunkInfo(nil), x.Chunks...)
	return &c
}
