package api

import (
	"bytes"
	"encoding/json"
	"net"
	"net/url"
	"strconv"
	"strings"

	"eyrie/appliance/access"

	"github.com/valyala/fasthttp"
)

// handler serves one route.
type handler func(q *req) error

// route is one method and path pattern. A segment "*" stands for one decoded
// path segment.
type route struct {
	method  string
	pattern []string
	min     access.Role // "" = anyone
	write   bool        // needs the page's own origin when a session asks
	views   bool        // answers 503 until they are loaded
	all     bool        // is of the whole node: needs a key of every space
	fn      handler
}

// req is one request with who asks.
type req struct {
	*fasthttp.RequestCtx
	s     *Server
	args  []string // decoded wildcard segments
	views *Views   // of a route that needs them
	who   access.Token
	ok    bool // who is known
}

func (s *Server) table() []route {
	r := func(method, path string, min access.Role, fn handler) route {
		return route{method: method, pattern: split(path), min: min, write: method != "GET", fn: fn}
	}
	v := func(method, path string, min access.Role, fn handler) route {
		x := r(method, path, min, fn)
		x.views = true
		return x
	}
	all := func(x route) route {
		x.all = true
		return x
	}
	return []route{
		r("GET", "/health", "", (*req).health),
		r("GET", "/ready", "", (*req).ready),
		r("GET", "/metrics", access.Viewer, (*req).metrics),
		all(r("GET", "/debug/pprof/*", access.Admin, (*req).pprof)),
		r("GET", "/v1/openapi.json", "", (*req).openapi),
		r("GET", "/v1/session", access.Viewer, (*req).session),
		r("POST", "/v1/session", "", (*req).signIn),
		r("DELETE", "/v1/session", "", (*req).signOut),
		r("GET", "/v1/status", access.Viewer, (*req).status),
		r("GET", "/v1/settings", access.Operator, (*req).settings),
		r("GET", "/v1/tuning", access.Viewer, (*req).tuning),
		r("GET", "/v1/capacity", access.Viewer, (*req).capacity),
		r("GET", "/v1/setup", access.Operator, (*req).setup),
		v("GET", "/v1/fleet", access.Viewer, (*req).fleet),
		v("GET", "/v1/state", access.Viewer, (*req).state),
		v("GET", "/v1/attention", access.Viewer, (*req).attention),
		v("GET", "/v1/agents", access.Viewer, (*req).agents),
		v("GET", "/v1/agents/*/*", access.Viewer, (*req).agent),
		v("GET", "/v1/spans", access.Viewer, (*req).spans),
		v("GET", "/v1/spans/*/*", access.Viewer, (*req).span),
		v("GET", "/v1/runs", access.Viewer, (*req).runs),
		v("GET", "/v1/runs/*/*", access.Viewer, (*req).run),
		r("GET", "/v1/holds", access.Viewer, (*req).holds),
		v("PUT", "/v1/runs/*/*/hold", access.Operator, (*req).holdRun),
		r("DELETE", "/v1/runs/*/*/hold", access.Operator, (*req).releaseRun),
		v("POST", "/v1/agents/*/*/forget", access.Admin, (*req).forgetAgent),
		v("POST", "/v1/runs/*/*/forget", access.Admin, (*req).forgetRun),
		v("GET", "/v1/forgets", access.Admin, (*req).forgets),
		r("GET", "/v1/events", access.Viewer, (*req).events),
		r("POST", "/v1/events", access.Agent, (*req).postEvents),
		r("POST", "/v1/blobs", access.Agent, (*req).postBlob),
		r("PUT", "/v1/blobs/*", access.Agent, (*req).putBlob),
		r("GET", "/v1/blobs/*", access.Viewer, (*req).getBlob),
		v("GET", "/v1/series", access.Viewer, (*req).seriesList),
		v("GET", "/v1/series/range", access.Viewer, (*req).seriesRange),
		r("GET", "/v1/links", access.Viewer, (*req).links),
		r("GET", "/v1/tokens", access.Admin, (*req).tokens),
		r("POST", "/v1/tokens", access.Admin, (*req).createToken),
		r("DELETE", "/v1/tokens/*", access.Admin, (*req).revokeToken),
		all(r("GET", "/v1/audit", access.Admin, (*req).audit)),
		all(r("GET", "/v1/backup", access.Admin, (*req).backupState)),
		all(r("POST", "/v1/backup", access.Admin, (*req).startBackup)),
		all(v("GET", "/v1/compact", access.Admin, (*req).compactState)),
		all(v("POST", "/v1/compact", access.Admin, (*req).startCompact)),
		all(v("GET", "/v1/verify", access.Admin, (*req).verifyState)),
		all(v("POST", "/v1/verify", access.Admin, (*req).startVerify)),
		r("GET", "/v1/live/sse", access.Viewer, (*req).liveSSE),
		r("GET", "/v1/live/poll", access.Viewer, (*req).livePoll),
	}
}

func split(p string) []string { return strings.Split(strings.Trim(p, "/"), "/") }

// handle answers one request.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	h := &ctx.Response.Header
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	if p := ambiguous(ctx); p != nil {
		writeProblem(ctx, p)
		ctx.SetConnectionClose()
		linger(ctx)
		return
	}
	path := string(ctx.URI().PathOriginal())
	segs := split(path)
	for i, seg := range segs {
		d, err := url.PathUnescape(seg)
		if err != nil {
			writeProblem(ctx, problem(400, "bad_path", "The path has a broken percent escape."))
			return
		}
		segs[i] = d
	}
	q := &req{RequestCtx: ctx, s: s}
	if p := q.outsideRole(path); p != nil {
		writeProblem(ctx, p)
		return
	}
	q.identify()
	method := string(ctx.Method())
	head := method == "HEAD"
	if head {
		method = "GET"
	}
	var allowed []string
	for i := range s.routes {
		r := &s.routes[i]
		args, ok := match(r.pattern, segs)
		if !ok {
			continue
		}
		if r.method != method {
			allowed = append(allowed, r.method)
			continue
		}
		h.Set("Cache-Control", "no-store")
		q.args = args
		if err := q.allowed(r); err != nil {
			s.fail(ctx, err)
			return
		}
		if r.views {
			if err := q.needViews(); err != nil {
				s.fail(ctx, err)
				return
			}
		}
		if err := r.fn(q); err != nil {
			s.fail(ctx, err)
		}
		return
	}
	switch {
	case len(allowed) > 0:
		h.Set("Allow", strings.Join(allowed, ", "))
		writeProblem(ctx, problem(405, "method", "This path answers "+strings.Join(allowed, ", ")+"."))
	case segs[0] == "v1" || segs[0] == "api" || segs[0] == "debug":
		writeProblem(ctx, problem(404, "not_found", "Nothing is here. /v1/openapi.json lists what is."))
	case method != "GET":
		writeProblem(ctx, problem(405, "method", "This path answers GET."))
	case q.listener() == ListenerIngest:
		writeProblem(ctx, problem(404, "not_found", "This is the ingest port: WebSocket on /v1/agent, POST on /v1/events and /v1/blobs. The pages are on the web port."))
	default:
		s.files.serve(ctx, path)
	}
}

// outsideRole refuses what a listener is not for. From this machine itself
// either port answers everything, so that one address is enough on a command
// line; who opens the ingest port to a network opens ingest alone.
func (q *req) outsideRole(path string) *Problem {
	if q.listener() != ListenerIngest || q.fromLoopback() {
		return nil
	}
	switch path {
	case "/health", "/ready", "/v1/events", "/v1/openapi.json":
		if path != "/v1/events" || q.IsPost() {
			return nil
		}
	}
	if path == blobsPath && q.IsPost() || strings.HasPrefix(path, blobsPath+"/") && q.IsPut() {
		return nil
	}
	return problem(404, "not_found", "This is the ingest port: WebSocket on /v1/agent, POST on /v1/events and /v1/blobs. Everything else is on the web port.")
}

func (q *req) fromLoopback() bool {
	a, ok := q.RemoteAddr().(*net.TCPAddr)
	return ok && a.IP.IsLoopback()
}

func match(pattern, segs []string) (args []string, ok bool) {
	if len(pattern) != len(segs) {
		return nil, false
	}
	for i, p := range pattern {
		switch {
		case p == "*":
			args = append(args, segs[i])
		case p != segs[i]:
			return nil, false
		}
	}
	return args, true
}

// ambiguous refuses what two readers of HTTP could understand differently
// (RFC 9112, 5.1, 5.2, 6.3).
func ambiguous(ctx *fasthttp.RequestCtx) *Problem {
	var te, cl int
	for line := range bytes.SplitSeq(ctx.Request.Header.RawHeaders(), []byte("\n")) {
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 0 {
			continue
		}
		if line[0] == ' ' || line[0] == '\t' {
			return problem(400, "ambiguous", "A header line is folded.")
		}
		name, _, ok := bytes.Cut(line, []byte(":"))
		if !ok || len(name) == 0 || bytes.ContainsAny(name, " \t\x00") {
			return problem(400, "ambiguous", "A header line has no clean name.")
		}
		switch {
		case bytes.EqualFold(name, []byte("transfer-encoding")):
			te++
		case bytes.EqualFold(name, []byte("content-length")):
			cl++
		}
	}
	if te > 0 && cl > 0 || te > 1 || cl > 1 {
		return problem(400, "ambiguous", "The length of the body is stated twice.")
	}
	return nil
}

func (q *req) listener() int {
	if t, ok := q.Conn().(*tracked); ok {
		return t.listener
	}
	return 0
}

// json answers 200 with v.
func (q *req) json(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return q.raw(b)
}

// raw answers 200 with JSON bytes.
func (q *req) raw(b []byte) error {
	q.SetContentType("application/json")
	q.SetBody(b)
	return nil
}

// arg returns a query parameter.
func (q *req) arg(name string) string { return string(q.QueryArgs().Peek(name)) }

// integer returns a whole query parameter between min and max.
func (q *req) integer(name string, def, min, max int64) (int64, error) {
	s := q.arg(name)
	if s == "" {
		return def, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < min || n > max {
		return 0, badField(name, "want a whole number from "+strconv.FormatInt(min, 10)+" to "+strconv.FormatInt(max, 10))
	}
	return n, nil
}

// msMax is the last instant that can be asked for: the year 2100, Unix ms.
const msMax = 4102444800000

// instant returns a query parameter in Unix ms, as Unix ns; 0 where it is absent.
func (q *req) instant(name string) (int64, error) {
	s := q.arg(name)
	if s == "" {
		return 0, nil
	}
	ms, err := strconv.ParseFloat(s, 64)
	if err != nil || !(ms >= 0 && ms <= msMax) { // NaN is neither
		return 0, badField(name, "want Unix milliseconds")
	}
	return int64(ms * 1e6), nil
}

// limit returns the page size asked for.
func (q *req) limit() (int, error) {
	n, err := q.integer("limit", 100, 0, 1000)
	return int(n), err
}

// list is the shape of every list.
type list struct {
	Items any    `json:"items"`
	Next  string `json:"next"`
	Total int    `json:"total"`
}
