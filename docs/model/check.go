package model

import (
	"errors"
	"fmt"
)

// The properties that one step can break.
var (
	errTwice     = errors.New("a number is settled twice in one epoch of the log")
	errFenced    = errors.New("a fenced link stores something behind the fence")
	errForgotten = errors.New("a link speaks for a producer that was forgotten")
	errFate      = errors.New("a number below next has no fate, or one beyond it has")
	errSilent    = errors.New("an event is acknowledged that the log does not have, and the sender was not told")
	errGone      = errors.New("an acknowledged event is missing")
	errStuck     = errors.New("the newest life can make no progress")
	errSentAway  = errors.New("the newest life was sent away")
)

// sound checks that each number up to next has exactly one fate.
func (s *State) sound() error {
	for n := uint8(1); n <= numbersMax; n++ {
		if (s.Mem.Fates[n].how != 0) != (n < s.Mem.Next) {
			return fmt.Errorf("%w: number %d, next %d", errFate, n, s.Mem.Next)
		}
	}
	return nil
}

// judge holds event m of life by, whose holder takes it for settled, against
// what is durable.
func (s *State) judge(by, m uint8) error {
	switch f := s.Dur.Fates[m]; {
	case f.by != by:
		return fmt.Errorf("%w: number %d of life %d", errSilent, m, by)
	case f.how == Event:
		s.Acked[by-1] |= 1 << m
	}
	return nil
}

// committed checks that what was acknowledged is what is durable now. A
// producer that was forgotten begins anew.
func (s *State) committed(before *State) error {
	if s.Dur.Inc != before.Dur.Inc {
		s.Acked = [lives]uint8{}
	}
	return s.kept()
}

func (s *State) kept() error {
	for i, bits := range s.Acked {
		for m := uint8(1); m <= numbersMax; m++ {
			if bits&(1<<m) != 0 && s.Dur.Fates[m] != (fate{Event, uint8(i + 1)}) {
				return fmt.Errorf("%w: number %d of life %d", errGone, m, i+1)
			}
		}
	}
	return nil
}

// newest is the life that should get its events through, -1 for none.
func (s *State) newest() int {
	for i := lives - 1; i >= 0; i-- {
		if l := &s.Lives[i]; l.Born && !l.Dead {
			return i
		}
	}
	return -1
}

// driveMax bounds the steps of drive: more than any way home takes.
const driveMax = 200

// drive lets the network and the server do nothing but work: the newest life
// must get rid of everything it holds. seen tells states from which that is
// known to succeed; all states passed are handed to it.
func (s State) drive(r Rules, seen func(State) bool) error {
	i := s.newest()
	for range driveMax {
		l := &s.Lives[i]
		if l.Over {
			return errSentAway
		}
		if l.Welcomed && l.idle() && s.Mem == s.Dur || seen(s) {
			return nil
		}
		err, moved := s.work(i, r)
		if err != nil {
			return err
		}
		if !moved {
			return errStuck
		}
	}
	return errStuck
}

// work takes one step of a world without faults.
func (s *State) work(i int, r Rules) (error, bool) {
	l := &s.Lives[i]
	if l.Link != 0 {
		lk := &s.Links[l.Link-1]
		if lk.Down.len() > 0 {
			return s.receive(i, r), true
		}
		if lk.Gone {
			s.leave(i, 0)
			return nil, true
		}
	}
	for k := range s.Lives { // others read what they are sent, or find out
		if o := &s.Lives[k]; k != i && o.on() && o.Link != 0 {
			if lk := &s.Links[o.Link-1]; lk.Down.len() > 0 {
				return s.receive(k, r), true
			} else if lk.Gone {
				s.leave(k, 0)
				return nil, true
			}
		}
	}
	if s.owes() || s.Mem != s.Dur {
		n := *s
		if n.commit() {
			err := n.committed(s)
			*s = n
			return err, true
		}
	}
	for j := range s.Links {
		lk := &s.Links[j]
		switch {
		case lk.Life == 0 || lk.Gone:
		case lk.Up.len() > 0:
			m := lk.Up.pop()
			var err error
			if m.Kind == Hello {
				err, _ = s.hello(j, m, r)
			} else if lk.Bound && (!lk.Fenced || r.NoFence) {
				err, _ = s.take(j, m, m.Kind, r)
			}
			return err, true
		case lk.Left:
			s.reap(j)
			return nil, true
		}
	}
	if l.Link == 0 {
		j := s.freeLink()
		if j < 0 { // an older life's idle link: its host goes
			for k := range s.Lives {
				if k != i && s.Lives[k].Link != 0 {
					s.leave(k, 0)
					return nil, true
				}
			}
			return nil, false
		}
		s.connect(i, j, r)
		return nil, true
	}
	if l.Welcomed {
		if n, ok := s.send(i, r); ok {
			*s = n.to
			return n.err, true
		}
	}
	return nil, false
}
