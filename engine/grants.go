//go:build linux

package engine

// grants keeps each distinct Grant of a loop once; links hold a number. Loop
// thread only.
type grants struct {
	list  []grantRef
	index map[string]uint32
	free  []uint32
}

type grantRef struct {
	Grant
	key   string
	links int
}

// grantKey tells grants apart.
func grantKey(g *Grant) string {
	var b []byte
	b = appendString(b, g.Space)
	b = appendString(b, g.Owner)
	b = appendString(b, g.Role)
	if g.Agents != nil {
		b = append(b, 1)
	}
	for _, s := range g.Agents {
		b = appendString(b, s)
	}
	return string(b)
}

// hold counts one more link on g and returns its number.
func (t *grants) hold(g Grant) uint32 {
	key := grantKey(&g)
	if i, ok := t.index[key]; ok {
		t.list[i].links++
		return i
	}
	if t.index == nil {
		t.index = make(map[string]uint32)
	}
	var i uint32
	if n := len(t.free); n > 0 {
		i, t.free = t.free[n-1], t.free[:n-1]
	} else {
		i = uint32(len(t.list))
		t.list = append(t.list, grantRef{})
	}
	t.list[i] = grantRef{Grant: g, key: key, links: 1}
	t.index[key] = i
	return i
}

// drop takes one link off number i.
func (t *grants) drop(i uint32) {
	g := &t.list[i]
	if g.links--; g.links == 0 {
		delete(t.index, g.key)
		*g = grantRef{}
		t.free = append(t.free, i)
	}
}

// at returns grant number i, which must be held.
func (t *grants) at(i uint32) *Grant { return &t.list[i].Grant }
