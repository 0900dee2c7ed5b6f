package fleet

// Events returns how many events were stored of the agents of a space ("" =
// all), or of one agent of it (id not empty).
func (v *View) Events(space, id string) (n uint64) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, a := range v.agents {
		if a != nil && (space == "" || a.space == space) && (id == "" || a.id == id) {
			n += a.counts[cEvents]
		}
	}
	return n
}
