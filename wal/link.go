package wal

// Link appends a record that a link of producer p was opened or closed, which
// the caller tells apart by class. agent may be 0. It returns its offset, or 0
// while the log refuses.
func (w *Writer) Link(class uint8, agent, p uint32, payload []byte) uint64 {
	if w.walled {
		return 0
	}
	return w.add(&Record{Kind: KindLink, Class: class, Agent: agent, Producer: p, Recv: w.clock(), Payload: payload}, -1)
}

// Producer returns the number of a producer that the log remembers, with what
// Fence would welcome it with, and appends nothing.
func (w *Writer) Producer(k ProducerKey) (p uint32, wel Welcome, ok bool) {
	pr := w.byKey[k]
	if pr == nil {
		return 0, Welcome{}, false
	}
	wel.Next = pr.next
	if pr.pos != nil {
		wel.Pos = append([]byte(nil), pr.pos...)
	}
	return pr.num, wel, true
}
