package fleet

// scanned counts what Fleet keeps up, by looking at every agent.
func scanned(v *View, space string) (by map[string]int, ended, attention int) {
	by = map[string]int{}
	for i, name := range showNames {
		if i != shEnded {
			by[name] = 0
		}
	}
	for _, a := range v.agents {
		if a == nil || space != "" && a.space != space {
			continue
		}
		attention += a.wanted()
		if sh := a.show(); sh == shEnded {
			ended++
		} else {
			by[showNames[sh]]++
		}
	}
	return by, ended, attention
}
