package bench

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// savesLook is what a server says of its views at a moment of one of its lives.
type savesLook struct {
	life  int           // counted from the campaign's first start
	since time.Duration // its views are folded, at least
	next  uint64        // first offset that the log has not
	views map[string]viewLook
}

// viewLook is one view of a look; offsets are the first ones that are not in it.
type viewLook struct {
	loaded   uint64 // the snapshot that this life began with; 1 for none
	applied  uint64
	saved    uint64 // the last snapshot that a crash leaves
	rebuilds uint64
}

// lookAt reads a look off a server's metrics. It has no views before the server has
// loaded them.
func lookAt(m map[string]float64) savesLook {
	l := savesLook{next: uint64(m["eyrie_wal_next_offset"]), views: map[string]viewLook{}}
	for name, v := range m {
		view, ok := strings.CutPrefix(name, "eyrie_view_loaded_offset{view=\"")
		if !ok || v == 0 {
			continue
		}
		view = strings.TrimSuffix(view, "\"}")
		of := func(what string) uint64 { return uint64(m[fmt.Sprintf("eyrie_view_%s{view=%q}", what, view)]) }
		l.views[view] = viewLook{loaded: uint64(v), applied: of("next_offset"), saved: of("saved_offset"), rebuilds: of("rebuilds_total")}
	}
	return l
}

// savesRule is what a server promises of its snapshots: while there is something to
// save, one of each view is durable every so often. A view that is behind saves
// while it catches up, too.
type savesRule struct {
	every time.Duration // between two saves, as the server was told
	slack time.Duration // for the fold of a turn, the save and its flush, on a machine that has other work
}

// within is how long a view may be folded without a snapshot becoming durable: one
// may be on its way when the next is due, and has to end before that one begins.
func (r savesRule) within() time.Duration { return 2*r.every + r.slack }

// savesJudge holds what is seen of the lives of a server to its rule. It belongs to
// one goroutine; looks come in order of time.
type savesJudge struct {
	rule    savesRule
	last    savesLook
	of      map[string]*viewSaves
	longest time.Duration // that a view was folded without a snapshot becoming durable
}

// viewSaves is what is known of one view.
type viewSaves struct {
	saved    uint64        // the best snapshot seen
	still    time.Duration // it was folded, in the lives since that was seen
	starved  bool          // told
	rebuilds uint64        // in this life
}

// see adds a look and returns what is wrong with it.
func (j *savesJudge) see(l savesLook) (faults []string) {
	if j.of == nil {
		j.of = map[string]*viewSaves{}
	}
	began, since := l.life != j.last.life, l.since-j.last.since
	if began {
		since = l.since
	}
	for _, name := range slices.Sorted(maps.Keys(l.views)) {
		v, s := l.views[name], j.of[name]
		if s == nil {
			s = &viewSaves{saved: 1}
			j.of[name] = s
		}
		if began {
			s.rebuilds = 0
		}
		if v.rebuilds > s.rebuilds {
			faults = append(faults, fmt.Sprintf("life %d: view %s was rebuilt", l.life, name))
			s.rebuilds = v.rebuilds
		}
		at := v.saved
		if began {
			at = min(at, v.loaded)
		}
		switch {
		case at < s.saved:
			faults = append(faults, fmt.Sprintf("life %d: the snapshot of view %s reaches to offset %d, and reached to %d before", l.life, name, at, s.saved))
			*s = viewSaves{saved: v.saved, rebuilds: v.rebuilds}
		case v.saved > s.saved:
			*s = viewSaves{saved: v.saved, rebuilds: v.rebuilds}
		case l.next > s.saved:
			s.still += since
			j.longest = max(j.longest, s.still)
		default:
			s.still = 0
		}
		if s.still > j.rule.within() && !s.starved {
			s.starved = true
			faults = append(faults, fmt.Sprintf("life %d: the snapshot of view %s stands at offset %d since it was folded for %v, where %v is the most; the view stands at %d, the log at %d",
				l.life, name, s.saved, s.still.Round(time.Millisecond), j.rule.within(), v.applied, l.next))
		}
	}
	j.last = l
	return faults
}

// savesWatch looks at the views of a server through all its lives, and judges what
// it sees. Its methods belong to one goroutine.
type savesWatch struct {
	srv    *Server
	judge  savesJudge
	life   int
	folded time.Time // since when, in this life; zero before
	faults []string
	stop   func() // nil between lives
}

// lookAtSaves is how often. A look costs the server some ms.
const lookAtSaves = 200 * time.Millisecond

// begin watches the life that has begun.
func (w *savesWatch) begin(ctx context.Context) {
	looking, cancel := context.WithCancel(ctx)
	w.life, w.folded = w.life+1, time.Time{}
	ended := make(chan struct{})
	w.stop = func() {
		cancel()
		<-ended
		w.look(ctx)
	}
	go func() {
		defer close(ended)
		for sleep(looking, lookAtSaves) == nil {
			w.look(looking)
		}
	}()
}

// look looks once. A server that does not listen yet, or has ended, is seen by others.
func (w *savesWatch) look(ctx context.Context) {
	m, err := w.srv.Metrics(ctx)
	if err != nil {
		return
	}
	l := lookAt(m)
	if l.life = w.life; len(l.views) == 0 {
		return
	}
	if w.folded.IsZero() {
		w.folded = time.Now()
	}
	l.since = time.Since(w.folded)
	for _, f := range w.judge.see(l) {
		w.faults = append(w.faults, f+w.srv.said())
	}
}

// end is called before the life is ended, once it has shown its views. The server's
// log gets what was seen last.
func (w *savesWatch) end() {
	if w.stop == nil {
		return
	}
	w.stop()
	w.stop = nil
	l := &w.judge.last
	if l.life != w.life {
		w.faults = append(w.faults, fmt.Sprintf("life %d: its views were not seen%s", w.life, w.srv.said()))
		return
	}
	fmt.Fprintf(w.srv.Log, "bench: end of life %d, its views folded for %v; the log was at %d", l.life, l.since.Round(time.Millisecond), l.next)
	for _, name := range slices.Sorted(maps.Keys(l.views)) {
		v := l.views[name]
		fmt.Fprintf(w.srv.Log, "; %s loaded %d, saved %d, at %d", name, v.loaded, v.saved, v.applied)
	}
	fmt.Fprintln(w.srv.Log)
}
