package ring

// Next returns the payload of the next published record, valid until Release;
// false means that there is none now. The bytes are the consumer's to change
// until then.
func (r *Ring) Next() ([]byte, bool) {
	if r.cursor == r.pubSeen {
		r.seePublished()
		r.seeTurned()
		if r.cursor == r.pubSeen {
			return nil, false
		}
	}
	if r.cursor == r.turnSeen {
		r.start = r.cursor
	}
	at := r.cursor - r.start
	n := header(r.buf, at)
	r.cursor += uint64(Cost(int(n)))
	at += headerBytes
	return r.buf[at : at+uint64(n) : at+uint64(n)], true
}

func (r *Ring) seePublished() { r.pubSeen = r.published.Load() }

// seeTurned comes after seePublished. It may see a later turn than that of what
// was published then: one that begins there or behind, which is met when
// everything before it is taken. It cannot miss one: a second turn begins only
// when the first is released.
func (r *Ring) seeTurned() { r.turnSeen = r.turned.Load() }

// Release gives the space of every record returned by Next so far back to the
// producer.
func (r *Ring) Release() {
	if r.cursor != r.released.Load() {
		r.released.Store(r.cursor)
	}
}
