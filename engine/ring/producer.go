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
	limit := r.limit
	if critical {
		limit = uint64(len(r.buf))
	}
	if uint64(n) > limit {
		return nil, false
	}
	cost := uint64(Cost(n))
	at := r.reserved - r.turn
	looked := at >= r.warm && r.reserved == r.published.Load()
	if looked {
		r.look()
		at = r.reserved - r.turn
	}
	if r.reserved+cost-r.freeSeen > limit || !r.fits(at, cost) {
		if !looked {
			r.look()
			at = r.reserved - r.turn
		}
		if r.reserved+cost-r.freeSeen > limit {
			return nil, false
		}
		if !r.fits(at, cost) {
			// A new turn, in front of what the consumer has left of this one. While
			// it is in the one before, there is no room for a third.
			if r.freeSeen < r.turn || cost > r.freeSeen-r.turn {
				return nil, false
			}
			r.begin()
			at = 0
		}
	}
	setHeader(r.buf, at, uint32(n))
	r.reserved += cost
	at += headerBytes
	return r.buf[at : at+uint64(n) : at+uint64(n)], true
}

// fits tells whether cost bytes more, at index at, hurt nothing that the
// consumer may still read.
func (r *Ring) fits(at, cost uint64) bool {
	end := uint64(len(r.buf))
	if r.freeSeen < r.turn {
		end = r.freeSeen - r.before
	}
	return at+cost <= end
}

// look sees what the consumer has given back, and goes back to the start of the
// buffer if that is everything.
func (r *Ring) look() {
	r.freeSeen = r.released.Load()
	if r.freeSeen == r.reserved && r.reserved != r.turn {
		r.begin()
	}
}

// begin makes the next record the first of a turn.
func (r *Ring) begin() { r.before, r.turn = r.turn, r.reserved }

// Abort drops every reservation made since the last Publish.
func (r *Ring) Abort() {
	r.reserved = r.published.Load()
	if r.turn > r.reserved {
		// The turn before it had been left by the consumer when it began.
		r.turn = r.before
	}
}

// Publish hands every record reserved since the last Publish to the consumer,
// all at once. Without reservations it does nothing.
func (r *Ring) Publish() {
	if r.reserved == r.published.Load() {
		return
	}
	r.showTurn()
	r.published.Store(r.reserved)
}

// showTurn comes before published, so that who sees a record sees its turn.
func (r *Ring) showTurn() {
	if r.turn != r.turned.Load() {
		r.turned.Store(r.turn)
	}
}
