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
	cost := uint64(Cost(n))
	if cost > r.left && !r.makeRoom(uint64(n), cost, critical) {
		return nil, false
	}
	r.left -= min(cost, r.left)
	at := r.reserved - r.turn
	setHeader(r.buf, at, uint32(n))
	r.reserved += cost
	at += headerBytes
	return r.buf[at : at+uint64(n) : at+uint64(n)], true
}

// makeRoom makes sure that cost bytes fit behind reserved, or behind the start of
// a new turn, and finds left.
func (r *Ring) makeRoom(n, cost uint64, critical bool) bool {
	limit := r.limit
	if critical {
		limit = uint64(len(r.buf))
	}
	if n > limit {
		return false
	}
	looked := r.reserved-r.turn >= r.warm && r.reserved == r.published.Load()
	if looked {
		r.look()
	}
	if r.reserved+cost-r.freeSeen > limit || !r.fits(cost) {
		if !looked {
			r.look()
		}
		if r.reserved+cost-r.freeSeen > limit {
			return false
		}
		if !r.fits(cost) {
			// A new turn, in front of what the consumer has left of this one. While
			// it is in the one before, there is no room for a third.
			if r.freeSeen < r.turn || cost > r.freeSeen-r.turn {
				return false
			}
			r.begin()
		}
	}
	if used := r.reserved - r.freeSeen; used < r.limit {
		r.left = min(r.limit-used, r.end()-(r.reserved-r.turn))
	}
	return true
}

// fits tells whether cost bytes more hurt nothing that the consumer may still
// read.
func (r *Ring) fits(cost uint64) bool { return r.reserved-r.turn+cost <= r.end() }

// end is the index that this turn may fill the buffer up to.
func (r *Ring) end() uint64 {
	if r.freeSeen < r.turn {
		return r.freeSeen - r.before
	}
	return uint64(len(r.buf))
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
	r.left = 0
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
	if r.reserved-r.turn >= r.warm {
		r.left = 0 // have the next one look
	}
}

// showTurn comes before published, so that who sees a record sees its turn.
func (r *Ring) showTurn() {
	if r.turn != r.turned.Load() {
		r.turned.Store(r.turn)
	}
}
