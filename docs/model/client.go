package model

import "fmt"

// Step is one thing that can happen: its name, and the state after it.
type Step struct {
	Name string
	To   State
	Err  error // a property that it breaks
	Deed Deed
}

type stepper struct {
	r   Rules
	out []Step
}

func (t *stepper) add(s *State, err error, format string, args ...any) {
	t.out = append(t.out, Step{Name: fmt.Sprintf(format, args...), To: *s, Err: err})
}

// clients adds what lives can do.
func (t *stepper) clients(s *State) {
	for i := range s.Lives {
		if s.Lives[i].on() {
			t.life(s, i)
		}
	}
	if s.Left.Births > 0 && s.Lives[0].Born && !s.Lives[1].Born {
		t.births(s)
	}
}

func (t *stepper) life(s *State, i int) {
	l := &s.Lives[i]
	if l.Next > 0 && l.Next <= s.Left.Numbers {
		n := *s
		n.Lives[i].Held[l.Next] = uint8(i + 1)
		n.Lives[i].Next++
		t.add(&n, nil, "life %d makes %d", i+1, l.Next)
	}
	if l.Link == 0 {
		if j := s.freeLink(); j >= 0 {
			n := *s
			n.connect(i, j, t.r)
			t.add(&n, nil, "life %d says hello on link %d, first %d", i+1, j, l.first())
			t.do(Deed{What: Opened, Link: j, Life: uint8(i + 1)})
		}
		return
	}
	j := int(l.Link - 1)
	lk := &s.Links[j]
	if l.Welcomed && lk.Up.len() < queueMax {
		if n, ok := s.send(i, t.r); ok {
			t.add(&n.to, n.err, "life %d sends %d", i+1, n.n)
		}
		if s.Left.Resends > 0 {
			for m := uint8(1); m < l.Next; m++ {
				if l.Held[m] != 0 && m != l.Sent {
					n := *s
					n.Left.Resends--
					n.Links[j].Up.push(l.message(m))
					t.add(&n, nil, "life %d sends %d out of turn", i+1, m)
				}
			}
		}
	}
	if s.Left.Gives > 0 && l.Next > l.Sent && !l.idle() {
		n := *s
		n.Left.Gives--
		any := false
		for m := max(l.Sent, 1); m < l.Next; m++ {
			if l.Held[m] != 0 {
				n.Lives[i].Given |= 1 << m
				any = true
			}
		}
		if any {
			t.add(&n, nil, "life %d gives up from %d on", i+1, l.Sent)
		}
	}
	switch {
	case lk.Down.len() > 0:
		n := *s
		err := n.receive(i, t.r)
		t.add(&n, err, "life %d hears %v", i+1, lk.Down[0])
	case lk.Gone:
		n := *s
		n.leave(i, 0)
		t.add(&n, nil, "life %d finds its link gone", i+1)
	}
	if s.Left.Cuts > 0 && !lk.Gone {
		for keep := range lk.Up.len() + 1 {
			n := *s
			n.Left.Cuts--
			n.leave(i, keep)
			t.add(&n, nil, "link %d is cut, %d messages still arrive", j, keep)
		}
	}
}

// births starts the second life: the first one's state goes over or is lost, or
// the first one lives on and knows nothing of it.
func (t *stepper) births(s *State) {
	fresh := life{Born: true}
	die := func(n *State) {
		n.Left.Births--
		if n.Lives[0].Link != 0 {
			n.leave(0, n.Links[n.Lives[0].Link-1].Up.len())
		}
	}
	n := *s
	n.Left.Births--
	n.Lives[1] = fresh
	t.add(&n, nil, "life 2 begins beside life 1")
	n = *s
	die(&n)
	n.Lives[0] = life{Born: true, Dead: true}
	n.Lives[1] = fresh
	t.add(&n, nil, "life 1 dies, life 2 begins without its state")
	if s.Lives[0].Over || !s.Lives[0].Met {
		return
	}
	n = *s
	die(&n)
	n.Lives[1] = n.Lives[0]
	n.Lives[0] = life{Born: true, Dead: true}
	t.add(&n, nil, "life 1 dies, life 2 begins with its state")
}

func (s *State) freeLink() int {
	for j := range int(s.Left.Links) {
		if s.Links[j].Life == 0 {
			return j
		}
	}
	return -1
}

func (s *State) connect(i, j int, r Rules) {
	l := &s.Lives[i]
	if r.NumberFromOne && l.Next == 0 {
		l.Next, l.Met = 1, true
	}
	age := uint8(0)
	for k := range s.Links {
		if o := &s.Links[k]; o.Life == uint8(i+1) {
			age = max(age, o.Age)
		}
	}
	s.Links[j] = link{Life: uint8(i + 1), Age: age + 1}
	s.Links[j].Up.push(Msg{Kind: Hello, N: l.first()})
	l.Link, l.Welcomed, l.Sent = uint8(j+1), false, 0
}

type sent struct {
	to  State
	n   uint8
	err error
}

// send writes the next number that is due.
func (s *State) send(i int, r Rules) (sent, bool) {
	l := &s.Lives[i]
	n := max(l.Sent, l.first())
	for n < l.Next && l.Held[n] == 0 {
		n++
	}
	if n >= l.Next {
		return sent{}, false
	}
	to := *s
	tl := &to.Lives[i]
	to.Links[l.Link-1].Up.push(l.message(n))
	tl.Sent = n + 1
	var err error
	if r.ForgetOnSend {
		err = to.settle(i, n, to.Dur.Hist)
	}
	return sent{to, n, err}, true
}

// message is what is sent for number n: its event, or that it is given up.
func (l *life) message(n uint8) Msg {
	if l.Given&(1<<n) != 0 {
		return Msg{Lost, n, l.Held[n]}
	}
	return Msg{Event, n, l.Held[n]}
}

// leave takes the client off its link; keep messages of what it wrote arrive.
func (s *State) leave(i, keep int) {
	l := &s.Lives[i]
	lk := &s.Links[l.Link-1]
	lk.Left = true
	lk.Up.cut(keep)
	lk.Down.cut(0)
	lk.Owed.cut(0)
	if lk.Gone {
		*lk = link{}
	}
	l.Link, l.Welcomed, l.Sent = 0, false, 0
}

// receive takes in one message of the server.
func (s *State) receive(i int, r Rules) error {
	l := &s.Lives[i]
	m := s.Links[l.Link-1].Down.pop()
	switch m.Kind {
	case Welcome:
		return s.welcomed(i, m, r)
	case Ack:
		return s.settle(i, m.N, m.X)
	case Conflict, Refused:
		l.Told |= 1 << m.N
	case Gap:
		s.leave(i, s.Links[l.Link-1].Up.len())
	case Fenced, EpochLow:
		s.leave(i, s.Links[l.Link-1].Up.len())
		*l = life{Born: true, Over: true}
	}
	return nil
}

func (s *State) welcomed(i int, m Msg, r Rules) error {
	l := &s.Lives[i]
	l.Welcomed = true
	if l.Met && l.Hist != m.X && !r.TrustNext && !(r.NumberFromOne && l.Hist == 0) {
		l.Doubt = l.Next - 1
	}
	fresh := !l.Met
	l.Met, l.Hist = true, m.X
	if r.TrustSecond && l.Doubt > 0 && !l.Doubted {
		l.Doubted = true
	} else if r.TrustSecond {
		l.Doubt, l.Doubted = 0, false
	}
	var err error
	switch {
	case fresh:
		l.Next = m.N
	case l.first() > l.Doubt:
		err = s.settle(i, m.N-1, m.X)
	}
	if l.first() > l.Doubt {
		l.Doubt = 0
	}
	l.Next = max(l.Next, m.N)
	l.Sent = l.first()
	return err
}

// settle forgets what is settled up to n, and holds it against the log of epoch
// hist, if that is still the log.
func (s *State) settle(i int, n, hist uint8) error {
	l := &s.Lives[i]
	var err error
	for m := uint8(1); m <= n && m <= numbersMax; m++ {
		by, bit := l.Held[m], uint8(1)<<m
		if by == 0 {
			continue
		}
		if hist == s.Dur.Hist && l.Given&bit == 0 && l.Told&bit == 0 {
			if e := s.judge(by, m); e != nil && err == nil {
				err = e
			}
		}
		l.Held[m] = 0
		l.Given &^= bit
		l.Told &^= bit
	}
	if l.first() > l.Doubt {
		l.Doubt = 0
	}
	return err
}
