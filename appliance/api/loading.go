package api

import (
	"fmt"
	"strings"

	"eyrie/appliance/views"
	"eyrie/appliance/views/fleet"
	"eyrie/appliance/views/series"
	"eyrie/appliance/views/spans"
)

// Views are what is folded from the log, once all of it is loaded.
type Views struct {
	Fleet  *fleet.View
	Past   *fleet.Past
	Spans  *spans.View
	Series *series.View
	Runner *views.Runner
}

// Loading tells how far the views are on their way from the disk to where the log
// ended at the start.
type Loading struct {
	Phase  string        `json:"phase"`  // load: what they have saved is read; fold: what came in since
	Done   float64       `json:"done"`   // of the phase, 0 to 1
	Behind uint64        `json:"behind"` // records still to fold; 0 as long as that is not known
	Views  []ViewLoading `json:"views"`
}

// ViewLoading is one view of a Loading.
type ViewLoading struct {
	Name   string  `json:"name"`
	Done   float64 `json:"done"` // of the phase
	Behind uint64  `json:"behind"`
}

// Phases of a Loading.
const (
	PhaseLoad = "load"
	PhaseFold = "fold"
)

// String says it for people.
func (l *Loading) String() string {
	var left []string
	for _, v := range l.Views {
		if v.Done < 1 {
			left = append(left, fmt.Sprintf("%s %.0f %%", v.Name, 100*v.Done))
		}
	}
	on := strings.Join(left, ", ")
	switch {
	case l.Phase == PhaseFold:
		return fmt.Sprintf("views fold what came in since they were saved: %d records to go (%s)", l.Behind, on)
	case on == "":
		return "views are being loaded"
	}
	return "views are being loaded: " + on
}

// needViews has q answer from the views, or says that they are not there yet.
func (q *req) needViews() error {
	if q.views = q.s.p.Views(); q.views != nil {
		return nil
	}
	p := problem(503, "views_loading", "The views are not loaded yet. Events are taken meanwhile; ask again soon.")
	if l := q.s.p.Host.Loading(); l != nil {
		p.Detail = "The " + l.String() + ". Events are taken meanwhile; ask again soon."
		p.Loading = l
	}
	return p
}
