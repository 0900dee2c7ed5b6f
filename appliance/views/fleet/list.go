package fleet

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"

	"eyrie/appliance/query"
)

// Query selects and orders agents. The zero value lists the living ones by
// their last event, the newest first.
type Query struct {
	Filter  *query.Query
	Spaces  func(space string) bool // nil = any; what the caller may see
	Space   string
	Show    string // one of the show words, or several with commas
	Manager string
	Ended   string // "0" (default), "1", "all"
	Sort    string // last (default), cost, tokens, failures, state, name
	Asc     bool
	Limit   int // 0 = the total alone
	After   string
}

// Errors of List: the caller's fault.
var (
	ErrCursor = errors.New("fleet: the cursor is not one of this list")
	ErrSort   = errors.New("fleet: unknown sort; want last, cost, tokens, failures, state or name")
	ErrShow   = errors.New("fleet: unknown state; want running, waiting, idle, stuck, silent, failed, unknown or ended")
	ErrEnded  = errors.New("fleet: ended is 0, 1 or all")
)

type listKey struct {
	x float64
	s string
	n uint32
}

func (k listKey) compare(o listKey) int {
	return cmp.Or(cmp.Compare(k.x, o.x), cmp.Compare(k.s, o.s), cmp.Compare(k.n, o.n))
}

// severity of what is shown, for sorting by state: what wants a person first.
var showOrder = [shows]float64{shStuck: 7, shWaiting: 6, shFailed: 5, shSilent: 4, shUnknown: 3, shRunning: 2, shIdle: 1, shEnded: 0}

func (a *agent) sortKey(sort string) listKey {
	k := listKey{n: a.num}
	switch sort {
	case "", "last":
		k.x = float64(a.last)
	case "cost":
		k.x = float64(a.usage.cost)
	case "tokens":
		k.x = float64(a.usage.tokens())
	case "failures":
		k.x = float64(a.counts[cFailed])
	case "state":
		k.x = showOrder[a.show()]
	case "name":
		k.s = strings.ToLower(first(a.name, a.id))
	}
	return k
}

// List returns a page of agents. A cursor stays valid while rows change: the
// page begins behind the key that the last row had.
func (v *View) List(q Query) (Page, error) {
	p := Page{Items: []Agent{}}
	if !slices.Contains([]string{"", "last", "cost", "tokens", "failures", "state", "name"}, q.Sort) {
		return p, ErrSort
	}
	var want uint16
	if q.Show != "" {
		for w := range strings.SplitSeq(q.Show, ",") {
			i := slices.Index(showNames[:], w)
			if i < 0 {
				return p, ErrShow
			}
			want |= 1 << i
		}
	}
	if !slices.Contains([]string{"", "0", "1", "all"}, q.Ended) {
		return p, ErrEnded
	}
	after, err := parseCursor(q.After)
	if err != nil {
		return p, err
	}
	order := listKey.compare
	if !q.Asc {
		order = func(a, b listKey) int { return b.compare(a) }
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	var keys []listKey
	for _, a := range v.agents {
		if a == nil || !v.selected(a, &q, want) {
			continue
		}
		p.Total++
		if q.Limit > 0 {
			if k := a.sortKey(q.Sort); q.After == "" || order(k, after) > 0 {
				keys = append(keys, k)
			}
		}
	}
	slices.SortFunc(keys, order)
	for i, k := range keys {
		if i == q.Limit {
			p.Next = keys[i-1].cursor()
			break
		}
		p.Items = append(p.Items, v.row(v.agents[k.n]))
	}
	return p, nil
}

func (v *View) selected(a *agent, q *Query, want uint16) bool {
	if q.Space != "" && a.space != q.Space || q.Manager != "" && a.manager != q.Manager {
		return false
	}
	if q.Spaces != nil && !q.Spaces(a.space) {
		return false
	}
	sh := a.show()
	if want != 0 {
		if want&(1<<sh) == 0 {
			return false
		}
	}
	switch q.Ended {
	case "1":
		if sh != shEnded {
			return false
		}
	case "", "0":
		if sh == shEnded && want&(1<<shEnded) == 0 {
			return false
		}
	}
	return q.Filter.Empty() || q.Filter.Match(&matched{v, a})
}

func (k listKey) cursor() string {
	b := binary.BigEndian.AppendUint64(nil, math.Float64bits(k.x))
	b = binary.BigEndian.AppendUint32(b, k.n)
	return base64.RawURLEncoding.EncodeToString(append(b, k.s...))
}

func parseCursor(s string) (listKey, error) {
	if s == "" {
		return listKey{}, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) < 12 {
		return listKey{}, ErrCursor
	}
	return listKey{math.Float64frombits(binary.BigEndian.Uint64(b)), string(b[12:]), binary.BigEndian.Uint32(b[8:])}, nil
}
