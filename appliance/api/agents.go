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
	v, at, err := q.asOf()
	if err != nil {
		return err
	}
	if at == nil {
		return q.json(v.Fleet(space))
	}
	return q.json(stateAt(v.Fleet(space), at))
}

// state answers the summary as it was, or as it is.
func (q *req) state() error {
	space, err := q.space()
	if err != nil {
		return err
	}
	v, at, err := q.asOf()
	if err != nil {
		return err
	}
	f := v.Fleet(space)
	if at == nil {
		at = &asOf{At: f.Clock, Offset: f.Offset}
	}
	return q.json(stateAt(f, at))
}

// stateAt is a summary with the moment it is of.
func stateAt(f fleet.Fleet, at *asOf) any {
	return struct {
		fleet.Fleet
		*asOf
		Offset uint64 `json:"offset"` // both have one
	}{f, at, at.Offset}
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
	v, at, err := q.asOf()
	if err != nil {
		return err
	}
	return q.json(struct {
		fleet.Attention
		*asOf
	}{v.Attention(space, n), at})
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
	v, at, err := q.asOf()
	if err != nil {
		return err
	}
	p, err := v.List(fleet.Query{
		Filter: filter, Space: space, Show: q.arg("state"), Manager: q.arg("manager"), Ended: ended,
		Sort: q.arg("sort"), Asc: asc, Limit: n, After: q.arg("after"),
	})
	if err != nil {
		return err
	}
	return q.json(struct {
		fleet.Page
		*asOf
	}{p, at})
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
	v, at, err := q.asOf()
	if err != nil {
		return err
	}
	a, ok := v.Get(space, q.args[1])
	if !ok {
		return problem(404, "not_found", "No agent of this id was seen in the space "+space+".")
	}
	return q.json(struct {
		fleet.Agent
		*asOf
	}{a, at})
}
