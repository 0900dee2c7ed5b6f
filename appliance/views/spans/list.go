package spans

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strings"

	"eyrie/appliance/query"
	"eyrie/engine/wire"

	"github.com/cockroachdb/pebble/v2"
)

// Query selects spans. The zero value asks for the total of all alone.
type Query struct {
	Filter *query.Query
	Spaces func(space string) bool // nil = any; what the caller may see
	Space  string
	Agent  string
	Type   string // one or several with commas
	Status string // one or several with commas; open is one
	Open   bool   // only open ones
	Run    string
	Parent string
	Name   string
	From   int64 // Unix ns, by start; 0 = no bound
	To     int64 // exclusive; 0 = no bound
	Asc    bool  // oldest first; else the newest
	Limit  int   // 0 = the total alone
	After  string
}

// Errors of List: the caller's fault.
var (
	ErrCursor = errors.New("spans: the cursor is not one of this list")
	ErrType   = errors.New("spans: unknown type; want run, task, llm, tool, ask or span")
	ErrStatus = errors.New("spans: unknown status; want ok, error, denied, cancelled, interrupted, timeout, unknown or open")
)

// List returns a page of spans by start. Total is exact, whatever the page.
func (v *View) List(ctx context.Context, q Query) (Page, error) {
	p := Page{Items: []Span{}}
	rows, total, next, err := v.list(ctx, &q)
	p.Total, p.Next = total, next
	for _, s := range rows {
		p.Items = append(p.Items, v.row(s))
	}
	return p, err
}

// plan is a query made ready for matching.
type plan struct {
	q        *Query
	v        *View
	types    uint16
	statuses uint16
	agents   []uint32 // nil = any
	runs     []uint64 // hashes, one a space; nil = any
	ups      []uint64
	lo, hi   key // hi exclusive
	after    key
	cursor   bool
}

const allTypes, allStatuses = 1<<typeMax - 1, 1<<statusMax - 1

func (v *View) plan(q *Query) (*plan, error) {
	p := &plan{q: q, v: v, types: allTypes, statuses: allStatuses, lo: key{start: -1 << 63}, hi: key{start: 1<<63 - 1, off: 1<<64 - 1}}
	if q.Type != "" {
		p.types = 0
		for w := range strings.SplitSeq(q.Type, ",") {
			t, ok := wire.ParseType(w)
			if !ok || !t.SpanLike() {
				return nil, ErrType
			}
			p.types |= 1 << t
		}
	}
	if q.Status != "" {
		p.statuses = 0
		for w := range strings.SplitSeq(q.Status, ",") {
			st, ok := wire.ParseStatus(w)
			if w == "open" {
				st, ok = stOpen, true
			}
			if !ok {
				return nil, ErrStatus
			}
			p.statuses |= 1 << st
		}
	}
	if q.Open {
		p.statuses &= 1 << stOpen
	}
	if q.From > 0 {
		p.lo.start = q.From
	}
	if q.To > 0 {
		p.hi = key{start: q.To}
	}
	if q.After != "" {
		b, err := base64.RawURLEncoding.DecodeString(q.After)
		if err != nil || len(b) != tailLen {
			return nil, ErrCursor
		}
		p.after, p.cursor = keyOf(b), true
	}
	return p, nil
}

// resolve turns ids into numbers and hashes for each space in question. It
// reports whether anything can match. The caller holds the read lock.
func (p *plan) resolve() bool {
	spaces := p.v.spaces
	if p.q.Space != "" {
		spaces = []string{p.q.Space}
	}
	for _, s := range spaces {
		if p.q.Spaces != nil && !p.q.Spaces(s) {
			continue
		}
		if p.q.Agent != "" {
			if n, ok := p.v.names.AgentNum(s, p.q.Agent); ok {
				p.agents = append(p.agents, n)
			}
		}
		seed := seedOf(s)
		if p.q.Run != "" {
			p.runs = append(p.runs, hashOf(seed, p.q.Run))
		}
		if p.q.Parent != "" {
			p.ups = append(p.ups, hashOf(seed, p.q.Parent))
		}
	}
	return (p.q.Agent == "" || p.agents != nil) && (p.q.Run == "" || p.runs != nil) && (p.q.Parent == "" || p.ups != nil) && p.types != 0 && p.statuses != 0
}

// counted tells whether counters alone give the total.
func (p *plan) counted() bool {
	q := p.q
	return q.Filter.Empty() && q.Run == "" && q.Parent == "" && q.Name == "" && q.From == 0 && q.To == 0
}

// fixed matches what never changes about a row.
func (p *plan) fixed(s *span) bool {
	return p.types>>s.typ&1 == 1 &&
		(p.agents == nil || slices.Contains(p.agents, s.agent)) &&
		(p.q.Space == "" || s.space == p.q.Space) &&
		(p.q.Spaces == nil || p.q.Spaces(s.space)) &&
		!s.key.less(p.lo) && s.key.less(p.hi)
}

// match decides on a row.
func (p *plan) match(s *span) bool {
	return p.fixed(s) && p.statuses>>s.status&1 == 1 &&
		(p.q.Run == "" || s.runID == p.q.Run) &&
		(p.q.Parent == "" || s.parent == p.q.Parent) &&
		(p.q.Name == "" || s.name == p.q.Name) &&
		(p.q.Filter.Empty() || p.q.Filter.Match(&matched{p.v, s}))
}

// may rules rows out by what an index says of them.
func (p *plan) may(m marks) bool {
	return p.types>>m.typ&1 == 1 && p.statuses>>m.status&1 == 1 &&
		(p.agents == nil || slices.Contains(p.agents, m.agent)) &&
		(p.runs == nil || low(p.runs, m.run)) && (p.ups == nil || low(p.ups, m.up))
}

func low(hs []uint64, x uint32) bool {
	for _, h := range hs {
		if uint32(h) == x {
			return true
		}
	}
	return false
}

// exact tells whether an index entry that passed may is a match for sure.
func (p *plan) exact() bool {
	q := p.q
	return q.Filter.Empty() && q.Run == "" && q.Parent == "" && q.Name == "" && (q.Space == "" && q.Spaces == nil || p.agents != nil)
}

// behind tells whether a key lies behind the cursor in the order asked for.
func (p *plan) behind(k key) bool {
	if !p.cursor {
		return true
	}
	if p.q.Asc {
		return p.after.less(k)
	}
	return k.less(p.after)
}

func (p *plan) compare(a, b key) int {
	switch {
	case a == b:
		return 0
	case a.less(b) == p.q.Asc:
		return -1
	}
	return 1
}

// list returns the rows of the page, the total and the cursor behind it.
func (v *View) list(ctx context.Context, q *Query) (page []*span, total uint64, next string, err error) {
	p, err := v.plan(q)
	if err != nil {
		return nil, 0, "", err
	}
	v.mu.RLock()
	if !p.resolve() {
		v.mu.RUnlock()
		return nil, 0, "", nil
	}
	counted := p.counted()
	if counted {
		total = p.total()
		if q.Limit == 0 || total == 0 {
			v.mu.RUnlock()
			return nil, total, "", nil
		}
	}
	open, n := p.open()
	gens := p.freeze()
	stored, err := p.stored(counted)
	v.mu.RUnlock()
	if err != nil {
		return nil, 0, "", err
	}
	defer stored.close()
	mem, m, err := p.memory(ctx, open, gens)
	if err != nil {
		return nil, 0, "", err
	}
	if !counted {
		total = uint64(n + m)
	}
	page, more, err := p.merge(ctx, stored, mem, gens, &total, counted)
	if err != nil {
		return nil, 0, "", err
	}
	if more {
		next = base64.RawURLEncoding.EncodeToString(page[len(page)-1].key.append(nil))
	}
	return page, total, next, nil
}

// total adds up the counters.
func (p *plan) total() (n uint64) {
	add := func(c *counts) {
		for t := range c.n {
			if p.types>>t&1 == 0 {
				continue
			}
			for st, x := range c.n[t] {
				if p.statuses>>st&1 == 1 {
					n += uint64(x)
				}
			}
		}
	}
	if p.agents != nil {
		for _, a := range p.agents {
			if int(a) < len(p.v.counts) && p.v.counts[a] != nil {
				add(p.v.counts[a])
			}
		}
		return n
	}
	for num, c := range p.v.counts {
		if c == nil {
			continue
		}
		if p.q.Space != "" || p.q.Spaces != nil {
			s, _, _ := p.v.names.Agent(uint32(num))
			if p.q.Space != "" && s != p.q.Space || p.q.Spaces != nil && !p.q.Spaces(s) {
				continue
			}
		}
		add(c)
	}
	return n
}

// open matches the open spans in memory: copies of those that the page may
// need, and the number of all.
func (p *plan) open() (rows []*span, n int) {
	if p.statuses>>stOpen&1 == 0 {
		return nil, 0
	}
	var hits []*span
	for _, s := range p.v.open.all() {
		if !p.fixed(s) || !p.match(s) {
			continue
		}
		n++
		if p.behind(s.key) {
			hits = append(hits, s)
		}
	}
	slices.SortFunc(hits, func(a, b *span) int { return p.compare(a.key, b.key) })
	for _, s := range hits[:min(len(hits), p.q.Limit+1)] {
		c := *s
		rows = append(rows, &c)
	}
	return rows, n
}

// freeze returns the generations as they are now, the newest first.
func (p *plan) freeze() (out []frozen) {
	for _, g := range [...]*generation{p.v.fresh, p.v.saving} {
		if g != nil {
			out = append(out, frozen{g.rows, g.arena, maps.Clone(g.dead), maps.Clone(g.over)})
		}
	}
	return out
}

// hidden tells whether a newer generation than those from age on has a version
// of the row at off.
func hidden(gens []frozen, age int, off uint64) bool {
	for i := range age {
		if _, ok := gens[i].over[off]; ok {
			return true
		}
	}
	return false
}

// memory matches the rows that await a save, without a lock, and puts those
// that the page may need among the open ones.
func (p *plan) memory(ctx context.Context, open []*span, gens []frozen) (rows []*span, n int, err error) {
	type hit struct {
		key
		rec []byte
	}
	var hits []hit
	exact := p.exact()
	for age := range gens {
		g := &gens[age]
		for i := range g.rows {
			if i&4095 == 4095 && ctx.Err() != nil {
				return nil, 0, ctx.Err()
			}
			e := &g.rows[i]
			if !p.may(e.marks()) || e.key.less(p.lo) || !e.key.less(p.hi) {
				continue
			}
			if _, dead := g.dead[uint32(i)]; dead || hidden(gens, age, e.off) {
				continue
			}
			rec := g.bytes(e)
			if !exact {
				s, err := p.v.decodeRecord(rec, 0, nil)
				if err != nil {
					return nil, 0, err
				}
				if !p.match(s) {
					continue
				}
			}
			n++
			if p.behind(e.key) {
				hits = append(hits, hit{e.key, rec})
			}
		}
	}
	slices.SortFunc(hits, func(a, b hit) int { return p.compare(a.key, b.key) })
	rows = open
	for _, h := range hits[:min(len(hits), p.q.Limit+1)] {
		s, err := p.v.decodeRecord(h.rec, 0, nil)
		if err != nil {
			return nil, 0, err
		}
		rows = append(rows, s)
	}
	slices.SortFunc(rows, func(a, b *span) int { return p.compare(a.key, b.key) })
	return rows, n, nil
}

// source is a group of packs with the range of keys to read there.
type source struct {
	kind   byte
	group  []byte // in their keys
	shared uint64 // what their entries share, see unpack
	lo, hi key
}

// sources names what holds every match in the store.
func (p *plan) sources() (out []source, err error) {
	all := func(kind byte, group []byte, shared uint64) source { return source{kind, group, shared, p.lo, p.hi} }
	agent := func(a uint32) source { return all(kAgent, binary.BigEndian.AppendUint32(nil, a), uint64(a)) }
	hash := func(kind byte, h uint64) source { return all(kind, binary.BigEndian.AppendUint64(nil, h), h) }
	switch {
	case p.ups != nil:
		for _, h := range p.ups {
			out = append(out, hash(kParent, h))
			parent, err := p.v.peek(h, p.q.Parent)
			if err != nil {
				return nil, err
			}
			if parent == nil {
				continue
			}
			more := []source{agent(parent.agent)}
			t, err := p.v.peekTally(parent.run)
			if err != nil {
				return nil, err
			}
			if t != nil && parent.run != 0 {
				more = append(more, hash(kRun, parent.run))
				if t.owner != parent.agent {
					more = append(more, agent(t.owner))
				}
			}
			for _, s := range more {
				if s.kind == kAgent && p.agents != nil && !slices.Contains(p.agents, uint32(s.shared)) {
					continue
				}
				if from := (key{start: parent.start - skewNs}); parent.flags&flNoStart == 0 && s.lo.less(from) {
					s.lo = from
				}
				out = append(out, s)
			}
		}
		return out, nil
	case p.agents != nil:
		for _, a := range p.agents {
			out = append(out, agent(a))
		}
		return out, nil
	case p.runs != nil:
		for _, h := range p.runs {
			out = append(out, hash(kRun, h))
			t, err := p.v.peekTally(h)
			if err != nil {
				return nil, err
			}
			if t == nil {
				continue
			}
			s := agent(t.owner)
			if from := (key{start: t.first}); s.lo.less(from) {
				s.lo = from
			}
			if to := (key{start: t.last, off: 1<<64 - 1}); to.less(s.hi) {
				s.hi = to
			}
			out = append(out, s)
		}
		return out, nil
	case p.statuses == 1<<stOpen:
		return []source{all(kSpilled, nil, 0)}, nil
	case p.types&^rareTypes == 0:
		for t := range uint8(typeMax) {
			if p.types>>t&1 == 1 {
				out = append(out, all(kType, []byte{t}, uint64(t)))
			}
		}
		return out, nil
	}
	return []source{all(kTime, nil, 0)}, nil
}

const rareTypes = 1<<wire.TypeRun | 1<<wire.TypeTask | 1<<wire.TypeAsk

// stored returns what the store has of every match; where the total is known it begins
// behind the cursor.
func (p *plan) stored(counted bool) (*merged, error) {
	if p.v.blind {
		return p.merged(nil), nil
	}
	sources, err := p.sources()
	if err != nil {
		return nil, err
	}
	var all []*stream
	for _, src := range sources {
		if counted && p.cursor {
			if p.q.Asc {
				src.lo = p.after
			} else {
				src.hi = p.after
			}
		}
		if src.lo.less(src.hi) {
			all = p.v.streams(all, src, p.q.Asc)
		}
	}
	return p.merged(all), nil
}

// merge walks memory and store in order. It stops when the page is full and
// the total is known.
func (p *plan) merge(ctx context.Context, stored *merged, mem []*span, gens []frozen, total *uint64, counted bool) (page []*span, more bool, err error) {
	last, any := key{}, false
	rows := &reading{v: p.v}
	put := func(s *span) {
		if len(page) < p.q.Limit {
			page = append(page, s)
		} else {
			more = p.q.Limit > 0
		}
	}
	for n := 0; ; n++ {
		if n&1023 == 1023 && ctx.Err() != nil {
			return nil, false, ctx.Err()
		}
		if more && counted {
			return page, more, nil
		}
		best, err := stored.first()
		if err != nil {
			return nil, false, err
		}
		if best == nil {
			for _, s := range mem {
				put(s)
			}
			return page, more, nil
		}
		for len(mem) > 0 && p.compare(mem[0].key, best.cur.key) < 0 {
			put(mem[0])
			mem = mem[1:]
		}
		k := best.cur.key
		if !(any && k == last) && !hidden(gens, len(gens), k.off) {
			s, hit, err := p.take(rows, &best.cur, counted || len(page) < p.q.Limit && p.behind(k))
			if err != nil {
				return nil, false, err
			}
			last, any = k, true // older versions of it may follow
			if hit {
				if !counted {
					*total++
				}
				if p.behind(k) {
					put(s)
				}
			}
		}
		if err := stored.next(best); err != nil {
			return nil, false, err
		}
	}
}

// take decides on an entry; the row is read only where the page wants it or
// the entry cannot tell.
func (p *plan) take(rows *reading, it *item, want bool) (*span, bool, error) {
	if !p.may(it.marks) {
		return nil, false, nil
	}
	if !want && p.exact() {
		return nil, true, nil
	}
	row, err := rows.row(it.page, it.off, nil)
	if errors.Is(err, pebble.ErrNotFound) || errors.Is(err, errGone) {
		return nil, false, nil // a Reset has been saved meanwhile, or it was forgotten
	}
	if err != nil {
		return nil, false, err
	}
	return row, p.match(row), nil
}
