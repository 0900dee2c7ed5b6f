package series

import (
	"github.com/cockroachdb/pebble/v2"

	"eyrie/appliance/forget"
	"eyrie/tsdb"
)

// Forget implements views.Forgetter. Of a run nothing is taken: a series is its
// agent's, and its samples do not tell of runs; nor where it was done before, for they do not
// tell of offsets either.
func (v *View) Forget(store *pebble.DB, f *forget.Scope) error {
	if f.Run != "" || f.Again {
		return nil
	}
	refs := map[uint64]bool{}
	for _, num := range f.Agents {
		space, id, ok := v.names.Agent(num)
		if !ok {
			continue
		}
		for _, ref := range v.db.Refs([]tsdb.Matcher{tsdb.Eq(labelAgent, id), tsdb.Eq(labelSpace, space)}) {
			refs[ref] = true
		}
	}
	if len(refs) == 0 {
		return nil
	}
	b := store.NewBatch()
	defer b.Close()
	if err := v.db.Forget(b, refs); err != nil {
		return err
	}
	return b.Commit(pebble.NoSync)
}
