package intake

import "eyrie/netpoll"

// table finds links by their handles. Slots of a loop are dense, so it is an
// array for each loop, and an event costs an index and a comparison. It belongs
// to Run's goroutine; pointers to links stay good until they are removed.
type table struct {
	loops []linkPages
	// stray holds links whose slot has a new owner before their end was told:
	// a full ring lets a hello pass a goodbye.
	stray map[netpoll.Handle]*link
	n     int
}

// linkPages are the links of one loop by slot, in pages that do not move.
type linkPages []*[linksPage]link

const linksPage = 128

// slot returns the place of h, made if it is not there.
func (t *table) slot(h netpoll.Handle) *link {
	for h.Loop() >= len(t.loops) {
		t.loops = append(t.loops, nil)
	}
	pages := &t.loops[h.Loop()]
	for int(h.Slot()/linksPage) >= len(*pages) {
		*pages = append(*pages, nil)
	}
	p := &(*pages)[h.Slot()/linksPage]
	if *p == nil {
		*p = new([linksPage]link)
	}
	return &(*p)[h.Slot()%linksPage]
}

// at returns the link of h, or nil.
func (t *table) at(h netpoll.Handle) *link {
	if h.Loop() < len(t.loops) {
		if pages := t.loops[h.Loop()]; int(h.Slot()/linksPage) < len(pages) {
			if p := pages[h.Slot()/linksPage]; p != nil {
				if l := &p[h.Slot()%linksPage]; l.open && l.handle == h {
					return l
				}
			}
		}
	}
	if len(t.stray) > 0 {
		return t.stray[h]
	}
	return nil
}

// put enters l under its handle and returns where it is kept.
func (t *table) put(l link) *link {
	t.drop(l.handle)
	l.open = true
	s := t.slot(l.handle)
	if s.open {
		if t.stray == nil {
			t.stray = make(map[netpoll.Handle]*link)
		}
		old := *s
		t.stray[old.handle] = &old
	}
	t.n++
	*s = l
	return s
}

// drop removes the link of h, if it is there.
func (t *table) drop(h netpoll.Handle) {
	l := t.at(h)
	if l == nil {
		return
	}
	t.n--
	*l = link{}
	delete(t.stray, h)
}
