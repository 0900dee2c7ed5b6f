package api

import (
	"eyrie/appliance/query"
	"eyrie/appliance/views/fleet"
)

// fleet answers the summary over all agents.
func (q *req) fleet() error {
	space, err := q.space()
	if err != nil {
		return err
	}
	return q.json(q.s.p.Fleet.Fleet(space))
}

// attention answers what wants a person now.
func (q *req) attention() error {
	space, err := q.space()
	if err != nil {
		return err
	}
	n, err := q.limit()
	if err != nil {
		return err
	}
	return q.json(q.s.p.Fleet.Attention(space, n))
}

// agents answers a page of agents.
func (q *req) agents() error {
	space, err := q.space()
	if err != nil {
		return err
	}
	n, err := q.limit()
	if err != nil {
		return err
	}
	filter, err := query.Parse(q.arg("q"))
	if err != nil {
		return err
	}
	asc, err := q.order()
	if err != nil {
		return err
	}
	ended := q.arg("ended")
	if ended == "" {
		ended = "all"
	}
	p, err := q.s.p.Fleet.List(fleet.Query{
		Filter: filter, Space: space, Show: q.arg("state"), Manager: q.arg("manager"), Ended: ended,
		Sort: q.arg("sort"), Asc: asc, Limit: n, After: q.arg("after"),
	})
	if err != nil {
		return err
	}
	return q.json(p)
}

// order reads order=asc|desc; desc is the default.
func (q *req) order() (asc bool, err error) {
	switch q.arg("order") {
	case "", "desc":
		return false, nil
	case "asc":
		return true, nil
	}
	return false, badField("order", "want asc or desc")
}

// agent answers one agent.
func (q *req) agent() error {
	space, err := q.readable(q.args[0])
	if err != nil {
		return err
	}
	a, ok := q.s.p.Fleet.Get(space, q.args[1])
	if !ok {
		return problem(404, "not_found", "No agent of this id was seen in the space "+space+".")
	}
	return q.json(a)
}
