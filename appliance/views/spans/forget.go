package spans

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"eyrie/appliance/forget"
	"eyrie/engine/wire"
)

// forgetting takes rows out of the store, with all that leads to them.
type forgetting struct {
	*forget.Scope
	v    *View
	db   *pebble.DB
	b    *pebble.Batch
	run  uint64                                 // hash of Run, 0 for none
	rows map[uint64]*lost                       // by offset
	at   map[uint64][]uint64                    // pages → offsets
	was  map[uint32]*[typeMax][statusMax]uint32 // of agents: what their counts lose
}

// lost is a row that goes: of several versions the newest.
type lost struct {
	item
	hash, run, up uint64 // 0 where the row itself is gone already
}

// Forget implements views.Forgetter: the rows of the agents go, or of these those of
// the run. What leads to rows goes before them, and last, in one batch,
// what they were found by here, so that it may be called again after a crash.
func (v *View) Forget(db *pebble.DB, f *forget.Scope) error {
	g := &forgetting{Scope: f, v: v, db: db, b: db.NewBatch(), rows: map[uint64]*lost{}, at: map[uint64][]uint64{}, was: map[uint32]*[typeMax][statusMax]uint32{}}
	defer func() { _ = g.b.Close() }()
	if f.Run != "" {
		g.run = hashOf(seedOf(f.Space), f.Run)
	}
	for _, step := range []func() error{g.find, g.entries, g.ids, g.pages, g.commit, g.last, g.commit} {
		if err := step(); err != nil {
			return fmt.Errorf("spans: forget: %w", err)
		}
	}
	return nil
}

// commit applies the batch and begins another.
func (g *forgetting) commit() error {
	err := errors.Join(g.b.Commit(pebble.NoSync), g.b.Close())
	g.b = g.db.NewBatch()
	return err
}

func (g *forgetting) set(k, val []byte) error {
	if len(val) == 0 {
		return g.delete(k)
	}
	return errors.Join(g.b.Set(k, val, nil), g.full())
}

func (g *forgetting) delete(k []byte) error { return errors.Join(g.b.Delete(k, nil), g.full()) }

func (g *forgetting) full() error {
	if g.b.Len() < 4<<20 {
		return nil
	}
	return g.commit()
}

// each calls fn for each key that begins with prefix. What it is given is borrowed.
func (g *forgetting) each(prefix []byte, fn func(k, val []byte) error) (err error) {
	it, err := g.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		val, err := it.ValueAndErr()
		if err == nil {
			err = fn(it.Key(), val)
		}
		if err != nil {
			return fmt.Errorf("key %x: %w", it.Key(), err)
		}
	}
	return it.Error()
}

// find finds the rows that go by their agents.
func (g *forgetting) find() error {
	var items []item
	rows := reading{v: g.v}
	for n := range len(g.Agents) * len(g.v.eras) {
		a, e := g.Agents[n/len(g.v.eras)], &g.v.eras[n%len(g.v.eras)]
		err := g.each(binary.BigEndian.AppendUint32(inEra(nil, kAgent, e.no), a), func(k, val []byte) error {
			bucket, page := tailOf(k)
			var ok bool
			if items, ok = unpack(items[:0], kAgent, uint64(a), bucket, page, val); !ok {
				return errRow
			}
			for _, it := range items {
				if it.off >= g.Below || g.run != 0 && it.run != uint32(g.run) {
					continue
				}
				x := &lost{item: it}
				s, err := rows.row(it.page, it.off, nil)
				switch {
				case err == nil:
					if g.run != 0 && (s.run != g.run || s.runID != g.Run) {
						continue
					}
					x.hash, x.run, x.up = s.hash, s.run, s.up
				case !errors.Is(err, errGone) && !errors.Is(err, pebble.ErrNotFound):
					return err
				}
				if old := g.rows[it.off]; old == nil || old.page <= it.page {
					g.rows[it.off] = x
				}
				g.at[it.page] = append(g.at[it.page], it.off)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for _, x := range g.rows {
		g.count(x.agent, x.typ, x.status)
	}
	return nil
}

func (g *forgetting) count(agent uint32, typ, status uint8) {
	if g.was[agent] == nil {
		g.was[agent] = &[typeMax][statusMax]uint32{}
	}
	g.was[agent][typ][status]++
}

// groups returns the packs, by era, kind, group and bucket, that hold the rows, in any
// version.
func (g *forgetting) groups(kinds ...byte) []pack {
	seen := map[string]pack{}
	for page, offs := range g.at {
		e := g.v.eraAt(page)
		if e == nil {
			continue
		}
		for _, off := range offs {
			x := g.rows[off]
			for _, kind := range kinds {
				p, group := inEra(nil, kind, e.no), uint64(0)
				switch kind {
				case kAgent:
					group = uint64(x.agent)
					p = binary.BigEndian.AppendUint32(p, x.agent)
				case kType:
					group = uint64(x.typ)
					p = append(p, x.typ)
				case kParent, kRun:
					if group = x.up; kind == kRun {
						group = x.run
					}
					if group == 0 {
						continue
					}
					p = binary.BigEndian.AppendUint64(p, group)
				}
				p = binary.BigEndian.AppendUint64(p, bucketOf(kind, x.start))
				seen[string(p)] = pack{p, kind, group}
			}
		}
	}
	return slices.SortedFunc(maps.Values(seen), func(a, b pack) int { return slices.Compare(a.prefix, b.prefix) })
}

// pack is where packs of a bucket are.
type pack struct {
	prefix []byte
	kind   byte
	group  uint64
}

// entries takes the rows out of the packs, but for those of their agents.
func (g *forgetting) entries() error {
	for _, p := range g.groups(kTime, kType, kParent, kRun) {
		if err := g.repack(p); err != nil {
			return err
		}
	}
	for _, x := range g.rows {
		if err := g.delete(appendTail(prefixed(nil, kSpilled), bucketOf(kSpilled, x.start), x.off)); err != nil {
			return err
		}
	}
	return nil
}

// repack writes the packs of a bucket without the rows.
func (g *forgetting) repack(p pack) error {
	var items []item
	return g.each(p.prefix, func(k, val []byte) error {
		bucket, page := tailOf(k)
		var ok bool
		if items, ok = unpack(items[:0], p.kind, p.group, bucket, page, val); !ok {
			return errRow
		}
		n := len(items)
		items = slices.DeleteFunc(items, func(it item) bool { return g.rows[it.off] != nil })
		switch len(items) {
		case n:
			return nil
		case 0:
			return g.delete(k)
		}
		var b packer
		b.begin(p.kind, bucket, items[0].off, page)
		for _, it := range items {
			b.add(&entry{key: it.key, run: uint64(it.run), up: uint64(it.up), agent: it.agent, typ: it.typ, status: it.status}, it.page)
		}
		return g.set(k, b.b)
	})
}

// ids takes the rows out of the look-up by hash.
func (g *forgetting) ids() error {
	saves := map[string]bool{}
	it, err := g.db.NewIter(&pebble.IterOptions{LowerBound: prefixed(nil, kID), UpperBound: after(prefixed(nil, kID))})
	if err != nil {
		return err
	}
	for page, offs := range g.at {
		for _, off := range offs {
			x := g.rows[off]
			if x.hash == 0 {
				continue
			}
			e := g.v.eraAt(page)
			if e == nil {
				continue
			}
			behind := idKey(e.no, x.hash, page+1)
			if top := behind[:len(behind)-8]; it.SeekLT(behind) && bytes.HasPrefix(it.Key(), top) {
				saves[string(it.Key())] = true
			}
		}
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return err
	}
	for _, k := range slices.Sorted(maps.Keys(saves)) {
		val, c, err := g.db.Get([]byte(k))
		if err != nil {
			return err
		}
		var out []byte
		last := uint64(0)
		good := eachID(val, func(h, off, page uint64) {
			if g.rows[off] == nil {
				out = appendID(out, h, last, off, page)
				last = off
			}
		})
		if err := c.Close(); err != nil || !good {
			return errors.Join(err, errRow)
		}
		if err := g.set([]byte(k), out); err != nil {
			return err
		}
	}
	return nil
}

// pages takes out the rows themselves.
func (g *forgetting) pages() error {
	for _, page := range slices.Sorted(maps.Keys(g.at)) {
		k := binary.BigEndian.AppendUint64(prefixed(nil, kPage), page)
		val, c, err := g.db.Get(k)
		if errors.Is(err, pebble.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		out, good := g.without(val, func(off uint64, _ []byte) bool { return g.rows[off] != nil })
		if err := c.Close(); err != nil || !good {
			return errors.Join(err, errRow)
		}
		if err := g.set(k, out); err != nil {
			return err
		}
	}
	return nil
}

// without returns a row of records without those that fn tells of.
func (g *forgetting) without(val []byte, fn func(off uint64, rec []byte) bool) (out []byte, good bool) {
	ok := true
	good = eachRecord(val, func(rec []byte) bool {
		k, _, fine := recordKey(rec)
		if ok = ok && fine; fine && !fn(k.off, rec) {
			out = appendRecord(out, rec)
		}
		return fine
	})
	return out, good && ok
}

// last takes out what rows are found by here, and what is counted: in one batch.
func (g *forgetting) last() error {
	runs := map[uint64]bool{}
	if g.run != 0 {
		runs[g.run] = true
	}
	err := g.each(prefixed(nil, kOpen), func(k, val []byte) (err error) {
		n := 0
		out, good := g.without(val, func(off uint64, rec []byte) bool {
			s, bad := g.v.decodeRecord(rec, 0, nil)
			if bad != nil {
				err = bad
				return false
			}
			if off >= g.Below || !slices.Contains(g.Agents, s.agent) || g.run != 0 && (s.run != g.run || s.runID != g.Run) {
				return false
			}
			n++
			g.count(s.agent, s.typ, s.status)
			if wire.Type(s.typ) == wire.TypeRun {
				runs[s.run] = true
			}
			return true
		})
		switch {
		case err != nil:
			return err
		case !good:
			return errRow
		case n == 0:
			return nil
		case len(out) == 0:
			return g.b.Delete(k, nil)
		}
		return g.b.Set(k, out, nil)
	})
	if err != nil {
		return err
	}
	for _, x := range g.rows {
		if wire.Type(x.typ) == wire.TypeRun && x.run != 0 {
			runs[x.run] = true
		}
	}
	for h := range runs {
		if err := g.b.Delete(hashed(nil, kTally, h), nil); err != nil {
			return err
		}
		for i := range g.v.eras {
			if err := g.b.Delete(binary.BigEndian.AppendUint64(inEra(nil, kSaved, g.v.eras[i].no), h), nil); err != nil {
				return err
			}
		}
	}
	if err := g.counts(); err != nil {
		return err
	}
	for _, p := range g.groups(kAgent) {
		if err := g.repack(p); err != nil {
			return err
		}
	}
	return nil
}

// counts takes the rows off the counts of their agents.
func (g *forgetting) counts() error {
	return g.each(prefixed(nil, kCounts), func(k, val []byte) error {
		if len(k) != 6 || len(val) == 0 || val[0] != format {
			return errRow
		}
		first, any := binary.BigEndian.Uint32(k[2:])<<countsPage, false
		in, out := coder{b: val[1:], read: true}, coder{b: []byte{format}}
		for num := first; len(in.b) > 0 && !in.bad; num++ {
			var n *counts
			if in.counts(&n); in.bad {
				break
			}
			if was := g.was[num]; was != nil && n != nil {
				any = true
				for t := range was {
					for st := range was[t] {
						n.n[t][st] -= min(n.n[t][st], was[t][st])
					}
				}
			}
			out.counts(&n)
		}
		if in.bad {
			return errRow
		}
		if !any {
			return nil
		}
		return g.b.Set(k, out.b, nil)
	})
}
