package ring

// Next returns the payload of the next published record, valid until Release;
// false means that there is none now. The bytes are the consumer's to change
// until then.
func (r *Ring) Next() ([]byte, bool) {
	if r.cursor == r.pubSeen {
		r.pubSeen = r.published.Load()
		if r.cursor == r.pubSeen {
			return nil, false
		}
	}
	at := r.cursor & r.mask
	n := header(r.buf, at)
	if n == padMark {
		// Reserve writes a pad only in front of a record, and both are
		// published together, so there is one behind it.
		r.cursor += r.mask + 1 - at
		at = 0
		n = header(r.buf, at)
	}
	r.cursor += uint64(Cost(int(n)))
	at += headerBytes
	return r.buf[at : at+uint64(n) : at+uint64(n)], true
}

// Release gives the space of every record returned by Next so far back to the
// producer.
func (r *Ring) Release() {
	if r.cursor != r.released.Load() {
		r.released.Store(r.cursor)
	}
}
