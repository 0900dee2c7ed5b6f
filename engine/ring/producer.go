package ring

// Reserve returns n contiguous bytes for the payload of the next record. They
// hold what was there before, must be written before Publish, and must not be
// touched after Publish or Abort. Several reservations may precede one
// Publish. False means that the record does not fit now (a critical one may
// use the headroom too) and nothing has changed; a record above Largest may
// not fit even an empty ring. n < 0 panics.
func (r *Ring) Reserve(n int, critical bool) ([]byte, bool) {
	if n < 0 {
		panic("ring: negative length")
	}
	size := r.mask + 1
	limit := r.limit
	if critical {
		limit = size
	}
	if uint64(n) > limit {
		return nil, false
	}
	cost := uint64(Cost(n))
	start := r.reserved
	if left := size - start&r.mask; cost > left {
		start += left
	}
	end := start + cost
	if end-r.freeSeen > limit {
		r.freeSeen = r.released.Load()
		if end-r.freeSeen > limit {
			return nil, false
		}
	}
	if start != r.reserved {
		setHeader(r.buf, r.reserved&r.mask, padMark)
	}
	at := start & r.mask
	setHeader(r.buf, at, uint32(n))
	r.reserved = end
	at += headerBytes
	return r.buf[at : at+uint64(n) : at+uint64(n)], true
}

// Abort drops every reservation made since the last Publish.
func (r *Ring) Abort() { r.reserved = r.published.Load() }

// Publish hands every record reserved since the last Publish to the consumer,
// all at once. Without reservations it does nothing.
func (r *Ring) Publish() {
	if r.reserved != r.published.Load() {
		r.published.Store(r.reserved)
	}
}
