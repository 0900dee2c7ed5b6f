package api

// seriesList answers the series of one agent.
func (q *req) seriesList() error {
	space, id, err := q.agentArgs()
	if err != nil {
		return err
	}
	items := q.views.Series.List(space, id)
	return q.json(list{Items: items, Total: len(items)})
}

// agentArgs reads the space and agent parameters; the space defaults to the
// key's, else to main.
func (q *req) agentArgs() (space, id string, err error) {
	if space, err = q.space(); err != nil {
		return "", "", err
	}
	if space == "" {
		space = "main"
	}
	if id = q.arg("agent"); id == "" {
		return "", "", badField("agent", "want an agent's id")
	}
	return space, id, nil
}

// seriesRange answers samples of one agent's metrics, in at most `points`
// steps with average, least and greatest each.
func (q *req) seriesRange() error {
	space, id, err := q.agentArgs()
	if err != nil {
		return err
	}
	to, err := q.instant("to_ms")
	if err != nil {
		return err
	}
	if to == 0 {
		to = q.s.p.Now().UnixNano()
	}
	from, err := q.instant("from_ms")
	if err != nil {
		return err
	}
	if from == 0 {
		from = to - 15*60*1e9
	}
	if from >= to {
		return badField("from_ms", "want an instant before to_ms")
	}
	points, err := q.integer("points", 300, 1, 11_000)
	if err != nil {
		return err
	}
	lines, err := q.views.Series.Range(space, id, q.arg("metric"), from/1e6, to/1e6, int(points))
	if err != nil {
		return err
	}
	return q.json(lines)
}
