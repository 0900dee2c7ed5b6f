package model

import (
	"fmt"
	"hash/maphash"
	"strings"
)

// Found is what an exploration has seen.
type Found struct {
	States int
	Err    error    // the first property broken, by a shortest way
	Trace  []string // that way, step by step
}

// Explore visits every state that can be reached within the budget, nearest
// first, and stops at the first broken property or beyond most states (an error
// as well: what was not visited is not known).
func Explore(b Budget, r Rules, most int) Found {
	e := explorer{r: r, seed: maphash.MakeSeed(), at: map[uint64]int32{}, good: map[uint64]bool{}}
	e.visit(Start(b), -1, "")
	for i := 0; i < len(e.states); i++ {
		if len(e.states) > most {
			return Found{States: len(e.states), Err: fmt.Errorf("more than %d states", most)}
		}
		s := e.states[i]
		if err := s.kept(); err != nil {
			return e.found(i, "", err)
		}
		if err := e.drive(s); err != nil {
			return e.found(i, "and nothing else happens", err)
		}
		for _, step := range Steps(&s, r) {
			if step.Err != nil {
				return e.found(i, step.Name, step.Err)
			}
			e.visit(step.To, int32(i), step.Name)
		}
	}
	return Found{States: len(e.states)}
}

// Steps returns everything that can happen in s.
func Steps(s *State, r Rules) []Step {
	t := stepper{r: r}
	t.clients(s)
	t.servers(s)
	return t.out
}

type explorer struct {
	r      Rules
	seed   maphash.Seed
	states []State
	from   []int32
	name   []string
	at     map[uint64]int32 // by hash; a collision would hide a state, at odds below one in a million
	good   map[uint64]bool  // states from which the newest life gets home
}

func (e *explorer) visit(s State, from int32, name string) {
	h := maphash.Comparable(e.seed, s)
	if _, ok := e.at[h]; ok {
		return
	}
	e.at[h] = int32(len(e.states))
	e.states, e.from, e.name = append(e.states, s), append(e.from, from), append(e.name, name)
}

// drive checks that s is no dead end.
func (e *explorer) drive(s State) error {
	if s.newest() < 0 || s.Lives[s.newest()].Over {
		if s.newest() >= 0 {
			return errSentAway
		}
		return nil
	}
	var passed []uint64
	err := s.drive(e.r, func(at State) bool {
		h := maphash.Comparable(e.seed, at)
		if e.good[h] {
			return true
		}
		passed = append(passed, h)
		return false
	})
	if err == nil {
		for _, h := range passed {
			e.good[h] = true
		}
	}
	return err
}

func (e *explorer) found(i int, last string, err error) Found {
	f := Found{States: len(e.states), Err: err}
	if last != "" {
		f.Trace = []string{last}
	}
	for ; i > 0; i = int(e.from[i]) {
		f.Trace = append([]string{e.name[i]}, f.Trace...)
	}
	return f
}

// String shows what was found.
func (f Found) String() string {
	if f.Err == nil {
		return fmt.Sprintf("%d states, no property broken", f.States)
	}
	return fmt.Sprintf("%v, after %d states, by\n  %s", f.Err, f.States, strings.Join(f.Trace, "\n  "))
}
