package claudecode

import (
	"encoding/json"
	"path"
	"strings"

	"eyrie/engine/wire"
)

// session is a conversation: its main agent, its workers and what is open between them.
type session struct {
	f        *Fold
	id       string
	main     *actor
	workers  map[string]*actor // by the worker's id in the transcript
	tasks    map[string]*task  // by the Task call's id
	order    []*task           // in the order they were delegated
	tools    map[string]*tool  // by the call's id
	side     map[string]string // record in a side chain without agent id → the chain's first record
	queued   map[uint64]struct{}
	run      *run
	pending  *prompt // typed, but not known to start a run yet
	lastRun  string
	declared bool
	stale    bool // the declaration changed

	cwd, repo, branch, version string
}

// learn takes in what every record says about the session.
func (s *session) learn(r *record) {
	if s.cwd == "" && r.CWD != "" {
		s.cwd, s.repo, s.stale = r.CWD, repoOf(r.CWD), true
	}
	if r.GitBranch != "" && r.GitBranch != s.branch {
		s.branch, s.stale = r.GitBranch, true
	}
	if r.Version != "" && r.Version != s.version {
		s.version, s.stale = r.Version, true
	}
}

// repoOf names the repository of a working folder: its last part, or the part before a folder of work trees.
func repoOf(cwd string) string {
	p := path.Clean(strings.ReplaceAll(cwd, `\`, "/"))
	for _, sep := range []string{"/.worktrees/", "/.claude/worktrees/", "/worktrees/"} {
		if i := strings.Index(p, sep); i > 0 {
			p = p[:i]
			break
		}
	}
	if p = path.Base(p); p == "." || p == "/" {
		return "root"
	}
	return p
}

// name is the durable name that sessions of one repository on one machine share.
func (s *session) name() string {
	n := "claude-code"
	if s.f.o.Host != "" {
		n += "@" + s.f.o.Host
	}
	if s.repo != "" {
		n += ":" + s.repo
	}
	return n
}

func (s *session) labels() map[string]string {
	l := map[string]string{"source": "claude-code"}
	if s.repo != "" {
		l["repo"] = s.repo
	}
	if s.branch != "" {
		l["branch"] = s.branch
	}
	if s.cwd != "" && s.f.full() {
		l["cwd"] = s.f.text(s.cwd, labelBytesMax)
	}
	return l
}

// declare says who the session's agent is, again when that changed.
func (s *session) declare(at stamp) {
	if s.declared && !s.stale {
		return
	}
	s.main.declare("main", s.name(), "", at)
	if !s.declared {
		s.declared = true
		s.main.setState("idle", "", "", at)
	}
	s.stale = false
}

// actorOf tells whose record it is.
func (s *session) actorOf(r *record) *actor {
	if !r.IsSidechain {
		return s.main
	}
	id := r.AgentID
	if id == "" { // older versions: a chain of records in the session's own file
		root := s.side[r.ParentUUID]
		if root == "" {
			root = r.UUID
		}
		s.side[r.UUID] = root
		id = "side-" + root[:min(len(root), 13)]
	}
	return s.worker(id)
}

func (s *session) worker(id string) *actor {
	a := s.workers[id]
	if a == nil {
		a = newActor(s, bounded(s.id+"."+id))
		a.worker = true
		s.workers[id] = a
	}
	return a
}

// system takes in a record that Claude Code wrote about itself.
func (s *session) system(r *record, at stamp) {
	a := s.main
	switch r.Subtype {
	case "turn_duration":
		a.endCall()
		e := a.event(wire.TypeMetrics, at)
		e.Name, e.Metrics, e.Unit = "turn", map[string]float64{"turn_duration_ms": r.DurationMs}, "ms"
		s.f.emit(e)
		s.endRun(at, wire.StatusOK, r.DurationMs, "turn_duration")
	case "stop_hook_summary":
		a.endCall()
		if !r.Prevented {
			s.endRun(at, wire.StatusOK, 0, "stop_hook")
		}
	case "compact_boundary", "microcompact_boundary":
		a.endCall()
		m := r.CompactMetadata
		if m == nil {
			m = r.MicroMetadata
		}
		e := a.event(wire.TypeLog, at)
		e.Name, e.Msg = r.Subtype, "the conversation was compacted"
		if m != nil {
			e.Attrs = map[string]any{"trigger": s.f.text(m.Trigger, labelBytesMax), "pre_tokens": m.PreTokens}
			if m.TokensSaved > 0 {
				e.Attrs["tokens_saved"] = m.TokensSaved
			}
		}
		s.f.emit(e)
	case "api_error":
		s.apiError(r, at)
	default:
		s.f.ignored["system/"+r.Subtype]++
	}
	a.saw(at)
}

func (s *session) apiError(r *record, at stamp) {
	var cause struct {
		Status int `json:"status"`
	}
	_ = json.Unmarshal(r.Error, &cause) // the error's shape differs by version: without a status it is a plain error
	e := s.main.event(wire.TypeLog, at)
	e.Severity, e.Name, e.Msg = wire.SeverityWarn, "api_error", "the model could not be reached"
	e.Attrs = map[string]any{"attempt": r.RetryAttempt, "attempts_max": r.MaxRetries, "retry_ms": r.RetryInMs}
	on := "model"
	if cause.Status != 0 {
		e.Attrs["http.status"] = cause.Status
		if cause.Status == 429 {
			on = "quota"
		}
	}
	s.f.emit(e)
	s.main.setState("waiting", on, "api_error", at)
}

// queue takes in what was typed, or announced, while the agent was at work.
func (s *session) queue(r *record, at stamp) {
	text := textOf(r.Content)
	switch {
	case r.Operation != "enqueue" || text == "":
		s.f.ignored["queue-operation/"+r.Operation]++
	case strings.HasPrefix(text, notification):
		s.notified(text, at)
	default:
		s.declare(at)
		s.queued[key(text)] = struct{}{}
		e := s.main.message("instruction", text, at)
		e.Attrs = map[string]any{"from": "person", "queued": true}
		s.f.emit(e)
	}
}

func (s *session) pullRequest(r *record, at stamp) {
	e := s.main.event(wire.TypeLog, at)
	e.Name, e.Msg = "pull_request", "linked to a pull request"
	e.Attrs = map[string]any{"number": r.PRNumber}
	if s.f.full() {
		e.Attrs["url"] = s.f.text(r.PRURL, labelBytesMax)
	}
	s.f.emit(e)
}

func (s *session) summary(r *record, at stamp) {
	if !s.declared || r.Summary == "" {
		s.f.ignored["summary"]++
		return
	}
	e := s.main.message("summary", r.Summary, at)
	s.f.emit(e)
}
