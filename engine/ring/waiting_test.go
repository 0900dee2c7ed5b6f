package ring

import (
	"fmt"
	"testing"
)

// TestEveryInterleavingOfWaiting explores every order of the steps of a loop and
// of the log's side around a full ring, on the real ring: the waiting flag, the
// second look, Freed, the high and low watermarks, and what is shed. A step
// makes at most one access to what both sides touch (the ring's positions, the
// flag, the wake-up), so every concurrent run is one of these orders.
//
// The producer has a fixed list of frames to bring in. At or above the high
// watermark an ordinary one waits until the ring is below the low one, a CRITICAL
// one only for bytes, and one that may be shed goes in as a small record. From
// every state that can be reached, both sides going on by themselves and without
// any timer bring everything in, in order: no wake-up is lost.
func TestEveryInterleavingOfWaiting(t *testing.T) {
	for _, frames := range []string{"nnnnnnnn", "nncnnncn", "nnsnsnnc", "ccccnncc", "nnnnssss"} {
		for _, broken := range []bool{false, true} {
			t.Run(fmt.Sprint(frames, " broken=", broken), func(t *testing.T) {
				states, stuck := explore(t, frames, broken)
				if broken != (stuck > 0) {
					t.Errorf("%d states, of which %d never end", states, stuck)
				}
				t.Logf("%d states, %d never end", states, stuck)
			})
		}
	}
}

const (
	waitHigh = 36 // of 64 bytes with 16 of headroom
	waitLow  = 20
)

// waiting is one state: the ring, and where each side stands.
type waiting struct {
	r    *Ring
	list string
	at   int // frames brought in
	took int // frames taken out
	// producer
	step  uint8
	flag  bool // waiting, set by the loop and read by Freed
	full  bool // the level: at or above high, until below low
	woken bool
	// consumer
	held   int  // taken and not released
	freed  bool // released, Freed not yet called
	broken bool // without the second look
}

// Steps of the producer.
const (
	stepLook  = iota // look at the ring and try the next frame
	stepFlag         // it did not fit: set the flag
	stepAgain        // the second look
	stepSleep        // wait for a wake-up
)

func (w *waiting) clone() *waiting {
	n := *w
	n.r = clone(w.r)
	return &n
}

func (w *waiting) key() string {
	k := []byte{w.step, byte(w.at), byte(w.took), byte(w.held)}
	for _, b := range []bool{w.flag, w.full, w.woken, w.freed} {
		if b {
			k = append(k, 1)
		} else {
			k = append(k, 0)
		}
	}
	return string(appendKey(k, w.r))
}

// try brings the next frame in, if it may and fits.
func (w *waiting) try() bool {
	kind, used := w.list[w.at], w.r.Used()
	switch {
	case used >= waitHigh:
		w.full = true
	case used < waitLow:
		w.full = false
	}
	n := 9
	switch {
	case kind == 'n' && w.full:
		return false
	case kind == 's' && w.full:
		n = 1
	}
	b, ok := w.r.Reserve(n, kind == 'c')
	if !ok {
		return false
	}
	for i := range b {
		b[i] = byte(w.at)
	}
	w.r.Publish()
	w.at++
	return true
}

// produce takes one step of the loop; false where it can only sleep.
func (w *waiting) produce() bool {
	switch w.step {
	case stepLook, stepAgain:
		if w.at == len(w.list) {
			return false
		}
		if w.try() {
			w.step, w.flag = stepLook, false
			return true
		}
		if w.step == stepAgain || w.flag {
			w.step = stepSleep
		} else {
			w.step = stepFlag
		}
	case stepFlag:
		if w.flag, w.step = true, stepAgain; w.broken {
			w.step = stepSleep
		}
	case stepSleep:
		if !w.woken {
			return false
		}
		w.woken, w.step = false, stepLook
	}
	return true
}

// consume takes one step of the log's side: which is 0 to take a record, 1 to
// release, 2 to call Freed.
func (w *waiting) consume(which int) (moved bool, err error) {
	switch which {
	case 0:
		b, ok := w.r.Next()
		if !ok {
			return false, nil
		}
		for _, x := range b {
			if int(x) != w.took {
				return false, fmt.Errorf("record of frame %d, want %d", x, w.took)
			}
		}
		w.took++
		w.held++
	case 1:
		if w.held == 0 || w.freed {
			return false, nil
		}
		w.r.Release()
		w.held, w.freed = 0, true
	case 2:
		if !w.freed {
			return false, nil
		}
		w.freed = false
		if w.flag {
			w.woken = true
		}
	}
	return true, nil
}

func explore(t *testing.T, frames string, broken bool) (states, stuck int) {
	first := &waiting{r: New(64, 16), list: frames, broken: broken}
	first.r.warm = 24
	seen := map[string]bool{first.key(): true}
	for todo := []*waiting{first}; len(todo) > 0; {
		w := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		states++
		moved := false
		for i := range 4 {
			n := w.clone()
			ok := false
			if i == 3 {
				ok = n.produce()
			} else {
				var err error
				if ok, err = n.consume(i); err != nil {
					t.Fatal(err)
				}
			}
			if u := n.r.Used(); u > 64 {
				t.Fatalf("%d bytes in use", u)
			}
			moved = moved || ok
			if k := n.key(); ok && !seen[k] {
				seen[k] = true
				todo = append(todo, n)
			}
		}
		// Nobody can move: everything must be in and out.
		if !moved && (w.at < len(frames) || w.took < len(frames)) {
			stuck++
		}
	}
	return states, stuck
}
