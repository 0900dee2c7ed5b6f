package claudecode

import (
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"eyrie/appliance/sources"
	"eyrie/engine/wire"
)

// Options of a Fold.
type Options struct {
	Host    string // of the machine that the transcripts were written on; part of the agents' durable name
	Content sources.Content
}

// Fold turns records into events. It is not safe for concurrent use.
type Fold struct {
	o        Options
	seen     map[uint64]struct{} // records taken, by uuid, else by content
	sessions map[string]*session
	out      []wire.Event
	ignored  map[string]int
	limit    int // bytes of each text of the line in hand
}

// Source is what the fold knows of one file: whose records it holds and where its clock stands.
type Source struct {
	session string
	ts      int64
	actors  []*actor // with a model call that was last heard of here
	settled bool     // the follower's: Settle was called where the run before this one did
}

// New returns an empty fold.
func New(o Options) *Fold {
	return &Fold{o: o, seen: map[uint64]struct{}{}, sessions: map[string]*session{}, ignored: map[string]int{}}
}

// Events returns what the lines since the last call said. The slice is reused by the next line.
func (f *Fold) Events() []wire.Event {
	evs := f.out
	f.out = f.out[:0]
	return evs
}

// Ignored counts the records that say nothing the fold shows, by type.
func (f *Fold) Ignored() map[string]int { return f.ignored }

// Line folds one line of the source. The faults say what of it could not be read.
func (f *Fold) Line(src *Source, line []byte) []Fault {
	var faults []Fault
	broken := split(line, func(obj []byte) {
		r, fault := parse(obj)
		if fault != nil {
			faults = append(faults, *fault)
		}
		if r != nil {
			f.record(src, r, obj)
		}
	})
	if broken != nil {
		faults = append(faults, *broken)
	}
	return faults
}

// Settle ends what waits for a next record that may never come: the model call that was written last. The
// follower calls it when the source has been quiet for a while.
func (f *Fold) Settle(src *Source) {
	for _, a := range src.actors {
		if a.call != nil && a.call.src == src {
			a.endCall()
		}
	}
	src.actors = src.actors[:0]
}

// Fault reports a line that could not be read to the session whose file it stands in.
func (f *Fold) Fault(src *Source, path string, line int, offset int64, fault Fault) {
	s := f.sessions[src.session]
	if s == nil {
		return
	}
	e := s.main.event(wire.TypeLog, stamp{src.ts, true})
	e.Severity = wire.SeverityWarn
	e.Name = "transcript_fault"
	e.Msg = "line not readable: " + fault.Msg
	e.Attrs = map[string]any{"file": path, "line": line, "offset": offset, "code": fault.Code, "kept": fault.Kept}
	f.emit(e)
}

func (f *Fold) emit(e wire.Event) { f.out = append(f.out, e) }

// once reports whether this is the first time the record is seen, here or in another file.
func (f *Fold) once(r *record, obj []byte) bool {
	h := xxhash.Sum64(obj)
	if r.UUID != "" {
		h = xxhash.Sum64String(r.UUID)
	}
	if _, ok := f.seen[h]; ok {
		return false
	}
	f.seen[h] = struct{}{}
	return true
}

func (f *Fold) record(src *Source, r *record, obj []byte) {
	if r.SessionID != "" {
		src.session = r.SessionID
	}
	at := stamp{ns: src.ts, estimated: true}
	if ns, ok := r.stampOf(); ok {
		src.ts, at = ns, stamp{ns: ns}
	}
	if src.session == "" || !f.once(r, obj) {
		if src.session == "" {
			f.ignored[r.Type]++
		}
		return
	}
	s := f.session(src.session)
	s.learn(r)
	if at.ns == 0 {
		at.ns = s.main.last
	}
	f.limit = textBytesMax
	switch r.Type {
	case "user", "assistant":
		a := s.actorOf(r)
		a.record(r, at)
		src.touch(a)
	case "progress":
		f.progress(src, s, r, at)
	case "system":
		s.declare(at)
		s.system(r, at)
	case "queue-operation":
		s.queue(r, at)
	case "pr-link":
		s.declare(at)
		s.pullRequest(r, at)
	case "summary":
		s.summary(r, at)
	default:
		f.ignored[r.Type]++
	}
}

func (src *Source) touch(a *actor) {
	if a.call == nil {
		return
	}
	a.call.src = src
	if slices.Contains(src.actors, a) {
		return
	}
	src.actors = append(src.actors, a)
}

func (f *Fold) progress(src *Source, s *session, r *record, at stamp) {
	d := r.Data
	switch {
	case d == nil:
		f.ignored["progress"]++
	case d.Type == "agent_progress" && d.Message != nil && d.AgentID != "":
		m := d.Message
		if m.UUID != "" && !f.once(m, nil) {
			return
		}
		if ns, ok := m.stampOf(); ok {
			at = stamp{ns: ns}
		}
		a := s.worker(d.AgentID)
		if t := s.tasks[r.ParentToolUseID]; t != nil {
			t.bind(a, at)
		}
		a.record(m, at)
		src.touch(a)
	case d.Type == "bash_progress":
		s.beat(r.ParentToolUseID, d, at)
	case d.Type == "waiting_for_task":
		on := "tool"
		if strings.Contains(d.TaskType, "agent") {
			on = "agent"
		}
		s.main.setState("waiting", on, "", at)
	default:
		f.ignored["progress/"+d.Type]++
	}
}

// session returns the session of that id.
func (f *Fold) session(id string) *session {
	s := f.sessions[id]
	if s == nil {
		s = &session{f: f, id: id, workers: map[string]*actor{}, tasks: map[string]*task{}, tools: map[string]*tool{},
			side: map[string]string{}, queued: map[uint64]struct{}{}}
		s.main = newActor(s, bounded(id))
		f.sessions[id] = s
	}
	return s
}

// bounded keeps an id below the protocol's limit: the end of one that is too long becomes a hash.
func bounded(id string) string {
	if len(id) <= wire.MaxID {
		return strings.ToValidUTF8(id, "\uFFFD")
	}
	return strings.ToValidUTF8(id[:wire.MaxID-20], "") + "~" + hash(id)
}
