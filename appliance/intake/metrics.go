package intake

import (
	"eyrie/engine/wire"

	"github.com/VictoriaMetrics/metrics"
)

// counters are the intake's own metrics, named in docs/metrics.md.
type counters struct {
	stored, duplicate, conflict, gap, refused, lost, fenced, held, expired *metrics.Counter
	shed                                                                   [wire.PrioCritical]*metrics.Counter // by class
}

func (c *counters) init(s *metrics.Set) {
	c.stored = s.NewCounter(`eyrie_intake_events_total{verdict="stored"}`)
	c.duplicate = s.NewCounter(`eyrie_intake_events_total{verdict="duplicate"}`)
	c.conflict = s.NewCounter(`eyrie_intake_events_total{verdict="conflict"}`)
	c.gap = s.NewCounter(`eyrie_intake_events_total{verdict="gap"}`)
	c.refused = s.NewCounter(`eyrie_intake_events_total{verdict="refused"}`)
	c.held = s.NewCounter(`eyrie_intake_events_total{verdict="held"}`)
	for p := wire.PrioLow; p < wire.PrioCritical; p++ {
		c.shed[p] = s.NewCounter(`eyrie_intake_shed_numbers_total{class="` + p.String() + `"}`)
	}
	c.lost = s.NewCounter(`eyrie_intake_lost_numbers_total`)
	c.expired = s.NewCounter(`eyrie_intake_expired_producers_total`)
	c.fenced = s.NewCounter(`eyrie_intake_fenced_links_total`)
}
