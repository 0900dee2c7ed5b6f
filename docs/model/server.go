package model

// servers adds what the server, its disk and its owner can do.
func (t *stepper) servers(s *State) {
	for j := range s.Links {
		lk := &s.Links[j]
		if lk.Life == 0 || lk.Gone {
			continue
		}
		switch {
		case lk.Up.len() > 0:
			t.take(s, j)
		case lk.Left:
			n := *s
			n.reap(j)
			t.add(&n, nil, "the server finds link %d gone", j)
			t.do(Deed{What: Reaped, Link: j})
		}
	}
	if s.Mem != s.Dur || s.owes() {
		if n := *s; n.commit() {
			t.add(&n, n.committed(s), "commit")
			t.do(Deed{What: Committed})
		}
	}
	if s.Left.Restores > 0 && s.Bak.Hist == 0 && s.Dur.Known {
		n := *s
		n.Bak = n.Dur
		t.add(&n, nil, "backup")
		t.do(Deed{What: BackedUp})
	}
	if s.Left.Crashes > 0 {
		n := *s
		n.Left.Crashes--
		n.crash()
		t.add(&n, nil, "the server crashes")
		t.do(Deed{What: Crashed})
	}
	if s.Left.Restores > 0 && s.Bak.Hist != 0 {
		n := *s
		n.Left.Restores--
		n.crash()
		n.restore(t.r)
		t.add(&n, nil, "the backup is restored")
		t.do(Deed{What: Restored})
	}
	if s.Left.Expiries > 0 && s.Mem.Known && (s.quiet() || t.r.ExpireLinked) {
		n := *s
		n.Left.Expiries--
		n.Mem = table{Next: 1, Hist: n.Mem.Hist, Inc: n.Mem.Inc + 1}
		for i := range n.Lives { // so long ago that no life trusts next
			if !t.r.TrustLong {
				n.Lives[i].Hist = 0
			}
		}
		t.add(&n, nil, "the producer expires")
		t.do(Deed{What: Expired})
	}
}

// take has the server take one message of link j.
func (t *stepper) take(s *State, j int) {
	m := s.Links[j].Up[0]
	n := *s
	lk := &n.Links[j]
	lk.Up.pop()
	if m.Kind == Hello {
		if err, ok := n.hello(j, m, t.r); ok {
			t.add(&n, err, "the server takes hello of link %d", j)
			t.do(Deed{What: Took, Link: j, Msg: m, Life: s.Links[j].Life})
		}
		return
	}
	if !lk.Bound || lk.Fenced && !t.r.NoFence {
		t.add(&n, nil, "the server drops %v of link %d", m, j)
		t.do(Deed{What: Dropped, Link: j, Msg: m})
		return
	}
	if m.Kind == Event && m.N == n.Mem.Next && s.Left.Sheds > 0 && !bad(m.X, m.N) {
		shed := n
		shed.Left.Sheds--
		if err, ok := shed.take(j, m, Shed, t.r); ok {
			t.add(&shed, err, "the server sheds %v of link %d", m, j)
			t.do(Deed{What: Shedded, Link: j, Msg: m})
		}
	}
	if err, ok := n.take(j, m, m.Kind, t.r); ok {
		t.add(&n, err, "the server takes %v of link %d", m, j)
		t.do(Deed{What: Took, Link: j, Msg: m})
	}
}

// hello fences: false means that there is no room for the answer yet.
func (s *State) hello(j int, m Msg, r Rules) (error, bool) {
	lk := &s.Links[j]
	if s.Mem.Known && lk.Life < s.Mem.Epoch && !r.NoEpochOrder {
		s.away(j, EpochLow)
		return nil, true
	}
	if s.stale(j) && !r.NoHelloOrder {
		lk.Gone = true // told to come back, but nobody is there to hear it
		lk.Up.cut(0)
		s.reap(j)
		return nil, true
	}
	if old := int(s.Holder) - 1; old >= 0 && old != j {
		s.Links[old].Fenced = true
		s.away(old, Fenced)
	}
	s.Holder, lk.Bound = uint8(j+1), true
	s.Mem.Known, s.Mem.Epoch = true, lk.Life
	if m.N > s.Mem.Next && !r.FirstIgnored {
		for n := s.Mem.Next; n < m.N && !r.FirstSkips; n++ {
			s.Mem.Fates[n] = fate{Lost, 0}
		}
		s.Mem.Next = m.N
	}
	return s.sound(), s.say(j, Msg{Welcome, s.Mem.Next, s.Mem.Hist}, r.AckBeforeSync || r.WelcomeBeforeSync)
}

// stale tells that link j is an earlier one of the life that holds the producer
// by a later one. A server sees that by the times in the two hellos.
func (s *State) stale(j int) bool {
	if s.Holder == 0 {
		return false
	}
	h, lk := &s.Links[s.Holder-1], &s.Links[j]
	return h.Life == lk.Life && h.Age > lk.Age
}

// away closes a link at once: its client reads the close last.
func (s *State) away(j int, why Kind) {
	lk := &s.Links[j]
	lk.Owed.cut(0)
	if lk.Left {
		return
	}
	lk.Down.cut(queueMax - 1)
	lk.Down.push(Msg{Kind: why})
	if why == EpochLow {
		lk.Gone = true
		lk.Up.cut(0)
	}
}

// take judges a number.
func (s *State) take(j int, m Msg, as Kind, r Rules) (error, bool) {
	t := &s.Mem
	lk := &s.Links[j]
	if !t.Known {
		return errForgotten, true
	}
	if int(s.Holder) != j+1 {
		return errFenced, true
	}
	ok, ack := true, m.N
	switch have := t.Fates[m.N]; {
	case m.N == t.Next || m.N > t.Next && r.NoGaps || m.N < t.Next && r.NoDuplicates || m.Kind == Lost && m.N < t.Next && r.LostOverwrites:
		if have.how != 0 {
			return errTwice, true
		}
		switch {
		case as == Event && bad(m.X, m.N):
			t.Fates[m.N] = fate{Refused, m.X}
			ok = s.say(j, Msg{Kind: Refused, N: m.N}, r.AckBeforeSync)
		case as == Shed:
			if !r.ShedUnrecorded {
				t.Fates[m.N] = fate{Shed, m.X}
			}
			ok = s.say(j, Msg{Kind: Shed, N: m.N}, r.AckBeforeSync)
		default:
			t.Fates[m.N] = fate{as, m.X}
		}
		t.Next = max(t.Next, m.N+1)
	case m.N > t.Next && !r.AckOfFrame:
		ok = s.say(j, Msg{Kind: Gap, N: m.N}, r.AckBeforeSync)
		ack = t.Next - 1
	case m.Kind == Event && bad(m.X, m.N): // refused before it is compared
		ok = s.say(j, Msg{Kind: Refused, N: m.N}, r.AckBeforeSync)
	case m.Kind == Event && differs(have, m, r):
		ok = s.say(j, Msg{Kind: Conflict, N: m.N}, r.AckBeforeSync)
	}
	if r.AckOfNext {
		ack = t.Next - 1
	}
	if ack > 0 {
		ok = ok && s.say(j, Msg{Ack, ack, t.Hist}, r.AckBeforeSync)
	}
	if lk.Left {
		ok = true
	}
	return s.sound(), ok
}

// differs holds an event against how its number is settled.
func differs(have fate, m Msg, r Rules) bool {
	if have.how == Event {
		return have.by != m.X && !r.NoContent
	}
	return !r.NoContentless
}

// say owes link j a message, or sends it at once.
func (s *State) say(j int, m Msg, now bool) bool {
	lk := &s.Links[j]
	if lk.Left {
		return true
	}
	q := &lk.Owed
	if now {
		q = &lk.Down
	}
	if n := q.len(); n > 0 && m.Kind == Ack && q[n-1].Kind == Ack {
		q[n-1].N = max(q[n-1].N, m.N)
		return true
	}
	return q.push(m)
}

func (s *State) owes() bool {
	for j := range s.Links {
		if s.Links[j].Owed.len() > 0 {
			return true
		}
	}
	return false
}

// commit makes memory durable and sends what was owed; false where the links
// have no room for it.
func (s *State) commit() bool {
	s.Dur = s.Mem
	for j := range s.Links {
		lk := &s.Links[j]
		for lk.Owed.len() > 0 {
			if !lk.Down.push(lk.Owed[0]) {
				return false
			}
			lk.Owed.pop()
		}
	}
	return true
}

func (s *State) reap(j int) {
	s.Links[j] = link{}
	if int(s.Holder) == j+1 {
		s.Holder = 0
	}
}

// quiet tells that no socket is left: a producer expires after months.
func (s *State) quiet() bool {
	for j := range s.Links {
		if s.Links[j].Life != 0 {
			return false
		}
	}
	return true
}

func (s *State) crash() {
	s.Mem, s.Holder = s.Dur, 0
	for j := range s.Links {
		lk := &s.Links[j]
		if lk.Life == 0 {
			continue
		}
		lk.Up.cut(0)
		lk.Owed.cut(0)
		if lk.Gone = true; lk.Left {
			*lk = link{}
		}
	}
}

func (s *State) restore(r Rules) {
	hist := s.Dur.Hist
	s.Dur = s.Bak
	if s.Dur.Hist = hist; !r.SameEpoch {
		s.Dur.Hist++
		s.Acked = [lives]uint8{}
	}
	s.Mem = s.Dur
}
