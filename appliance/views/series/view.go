package series

import (
	"github.com/cockroachdb/pebble/v2"

	"eyrie/tsdb"
)

// Names tells what the log's dictionary says about a dense agent number: a
// fact that never changes once it is written.
type Names interface {
	Agent(num uint32) (space, id string, ok bool)
}

// Prefixes are the first bytes of the keys that the view and its DB write:
// 't' is for the DB, 'm' for the view itself.
const Prefixes = "tm"

// DBPrefix is the prefix to open the DB with.
const DBPrefix = 't'

// View is the fold. Make one with New.
type View struct {
	db     *tsdb.DB
	names  Names
	agents []*agent // by dense number; nil where not seen since the start
	units  units
	common common
	cur    event // the one being folded
	w      tsdb.Writer
	gauges map[string]tsdb.Pair // labels __name__ of metrics
	sink   uint64
	drops  uint64
}

// New returns a view over an empty db, which must use DBPrefix. Load it before
// the first Apply.
func New(db *tsdb.DB, names Names) *View {
	v := &View{db: db, names: names, gauges: map[string]tsdb.Pair{}}
	v.units.clear()
	return v
}

// Name is the view's name in cursors and reports.
func (v *View) Name() string { return "series" }

// Version is the version of rules and snapshot: another one means a rebuild.
func (v *View) Version() uint32 { return 3 }

// DB returns the series, for queries of other kinds.
func (v *View) DB() *tsdb.DB { return v.db }

// Load replaces the state by the snapshot.
func (v *View) Load(r pebble.Reader) error {
	v.Reset()
	if err := v.units.load(r); err != nil {
		return err
	}
	return v.db.Load(r)
}

// LoadBounds returns the bounds of the keys that Load reads, those that are many.
func (v *View) LoadBounds() [][2][]byte { return v.db.LoadBounds() }

// Save writes what changed since the last Save.
func (v *View) Save(w *pebble.Batch) error {
	if err := v.units.save(w); err != nil {
		return err
	}
	return v.db.Save(w)
}

// Saved tells that the batch of the last Save is committed.
func (v *View) Saved() { v.db.Saved() }

// Reset forgets everything, as before offset 1.
func (v *View) Reset() {
	v.agents, v.common, v.gauges = nil, common{}, map[string]tsdb.Pair{}
	v.units.clear()
	v.db.Reset()
}
