package intake

import "eyrie/wal"

// owed is a record that the log did not take because its disk was full. Views
// learn from records alone which links are gone, so it is written as soon as
// there is room. There is at most one for each link that was open when the disk
// filled up, and the start's; what is still owed at the end needs no record,
// since the next start's says that every link before it is gone.
type owed struct {
	kind            wal.Kind
	class           uint8
	agent, producer uint32
	payload         []byte
}

// note appends a record of the intake's own, now or as soon as the log takes it.
func (in *Intake) note(r owed) {
	if len(in.owed) > 0 || !in.write(r) {
		in.owed = append(in.owed, r)
	}
}

// settleOwed appends what is owed, oldest first, as far as the log takes it.
func (in *Intake) settleOwed() {
	for len(in.owed) > 0 && in.write(in.owed[0]) {
		in.owed[0] = owed{}
		in.owed = in.owed[1:]
	}
	if len(in.owed) == 0 {
		in.owed = nil
	}
}

func (in *Intake) write(r owed) bool {
	if r.kind == wal.KindLink {
		return in.w.Link(r.class, r.agent, r.producer, r.payload) != 0
	}
	return in.w.System(r.kind, r.class, r.agent, r.payload) != 0
}
