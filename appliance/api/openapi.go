package api

import (
	"cmp"
	"encoding/json"
	"regexp"
	"strings"

	"eyrie/appliance/obs"
)

// operation documents one route for the OpenAPI document. A test holds the
// table against the routes.
type operation struct {
	method, path string // wildcards by name: /v1/agents/{space}/{id}
	summary      string
	params       string // names of query parameters, blank-separated, as in parameters
	answer       string // what a 200 holds
	open         bool   // no key needed
}

var operations = []operation{
	{"GET", "/health", "The process lives", "", "status", true},
	{"GET", "/ready", "Everything works: log, disk, views loaded and caught up, listeners. 503 with the reasons otherwise; for=ingest: events are taken, which is earlier", "for", "ready, accepts, reasons, views, loading", true},
	{"GET", "/metrics", "eyrie's own metrics, Prometheus text format", "", "text", false},
	{"GET", "/debug/pprof/{profile}", "Go profiles, for admins: heap, goroutine, profile?seconds=, trace", "", "a profile", false},
	{"GET", "/v1/openapi.json", "This document", "", "OpenAPI 3.1", true},
	{"GET", "/v1/session", "Who is signed in", "", "role, space, name", false},
	{"POST", "/v1/session", `Sign a browser in: {"key"} becomes a cookie`, "", "role, space, name", true},
	{"DELETE", "/v1/session", "Sign this browser out", "", "nothing", true},
	{"GET", "/v1/status", "What this node is and does", "", "version, log, views, listeners, ready", false},
	{"GET", "/v1/settings", "The configuration in force, with where each value comes from", "", "values", false},
	{"GET", "/v1/tuning", "What was chosen for this host: loops, memory, caches, descriptors, each with the reason", "", "a list of key, value, why, at_ms", false},
	{"GET", "/v1/capacity", "What this host bears: its load now, what that costs, and a plan for so many times as much, or for another load or host", "of times agents connections rate metrics series frame viewers seen days price cores memory_gib disk_gb descriptors", "host, costs, measured, live, busiest, today, times, answer", false},
	{"GET", "/v1/setup", "How to point an agent here, ready to copy", "", "ingest_url, key, snippets", false},
	{"GET", "/v1/fleet", "Summary over all agents", "space at", "Fleet", false},
	{"GET", "/v1/state", "Summary over all agents at a past moment, or now", "space at", "Fleet, at, offset, partial", false},
	{"GET", "/v1/attention", "What wants a person now, by age × burn, or wanted one then", "space limit at", "a list of wants", false},
	{"GET", "/v1/agents", "Agents, as they are or as they were", "space q state manager ended sort order limit after at", "a list of agents; with at also at, offset, partial", false},
	{"GET", "/v1/agents/{space}/{id}", "One agent, as it is or as it was", "at", "Agent", false},
	{"GET", "/v1/spans", "Spans: runs, tasks, model calls, tool calls, asks", "space agent type status open run parent name from_ms to_ms q order limit after", "a list of spans", false},
	{"GET", "/v1/spans/{space}/{span}", "One span with input and output", "", "Span", false},
	{"GET", "/v1/runs", "Runs with what their spans add up to", "space agent status open name from_ms to_ms q order limit after", "a list of runs", false},
	{"GET", "/v1/runs/{space}/{id}", "One run", "", "Run", false},
	{"GET", "/v1/holds", "Runs whose events are kept whatever their age", "", "a list of holds: space, run, since_ms, reason", false},
	{"PUT", "/v1/runs/{space}/{id}/hold", `Keep a run's events whatever --retain and --disk-budget-mib say: {"reason"}`, "", "the hold", false},
	{"DELETE", "/v1/runs/{space}/{id}/hold", "Keep a run's events no longer than others", "", "nothing", false},
	{"POST", "/v1/agents/{space}/{id}/forget", `Forget an agent: what it sent goes from log and views for good, and a record says so: {"reason"}. 202; GET /v1/forgets tells how far it is. 409 while one of its runs is held`, "", "offset, state", false},
	{"POST", "/v1/runs/{space}/{id}/forget", `Forget a run: the events that name it: {"reason"}. 202; 409 while it is held`, "", "offset, state", false},
	{"GET", "/v1/forgets", "What was forgotten and what is to be, newest first", "", "a list of offset, what, space, id, state, records, bytes, reason, by, at_ms, done_ms, error", false},
	{"GET", "/v1/events", "Events of the log, newest first; within a budget: partial says that it stopped early, next where to go on", "space agent type severity run task session span from_ms to_ms offset system q order limit after", "a list of events", false},
	{"POST", "/v1/events", `Append events: {"events":[…]}, an array, one event, or JSON lines; MessagePack with its content type. With an Idempotency-Key it is done once, and the answer kept 24 h`, "", "stored, refused, first, last", false},
	{"POST", "/v1/blobs", "Keep the body, of at most 16 MiB and of any type, as a blob of the key's space, to be named in events; answered once it is durable", "", "$blob, size, type: what stands for it in an event", false},
	{"PUT", "/v1/blobs/{sha256}", "The same, where the body has that SHA-256", "", "$blob, size, type", false},
	{"GET", "/v1/blobs/{sha256}", "A blob's content, whole or a range of it", "space", "the content", false},
	{"GET", "/v1/series", "Metrics of one agent", "space agent", "a list of series", false},
	{"GET", "/v1/series/range", "Samples of one agent's metrics in steps: average, least, greatest", "space agent metric from_ms to_ms points", "series, step_ms", false},
	{"GET", "/v1/links", "Who is connected", "", "a list of links", false},
	{"GET", "/v1/tokens", "Keys, without the keys themselves", "", "a list of keys", false},
	{"POST", "/v1/tokens", "Make a key; it is shown this once", "", "the key", false},
	{"DELETE", "/v1/tokens/{id}", "End a key at once", "", "the key's row", false},
	{"GET", "/v1/audit", "What operators and eyrie itself did, newest first, each tied to the one before by its hash", "limit after", "a list of entries: n, action, object, by, remote, detail, hash", false},
	{"GET", "/v1/backup", "How far the last backup is", "", "state, done_bytes, total_bytes, result", false},
	{"POST", "/v1/backup", `Begin a backup into a folder on the server's machine: {"to", "keep", "keys"}. 202; GET tells how far it is`, "", "state", false},
	{"GET", "/v1/compact", "How far the last compaction is", "", "state, done: bytes of each part before and after", false},
	{"POST", "/v1/compact", "Begin to seal what may be sealed, and to give back the space of what is not needed. 202; GET tells how far it is", "", "state", false},
	{"GET", "/v1/verify", "How far the last verification is, and what it found, as verify --json does", "", "state, done_records, total_records, report", false},
	{"POST", "/v1/verify", "Begin to verify every block, sealed stretch and view of the running log. 202; GET tells how far it is", "", "state", false},
	{"GET", "/v1/live/sse", "What the WebSocket /v1/live streams, as server-sent events; Last-Event-ID is epoch:offset", "what space agent type severity run q mode from", "text/event-stream", false},
	{"GET", "/v1/live/poll", "Events after a cursor as soon as there are any, at most 25 s later", "space agent type severity run q after limit", "items, after", false},
}

// parameters documents the query parameters; one name means the same on every
// route.
var parameters = map[string]string{
	"for":   "ingest: no more than that events are taken",
	"space": "Tenant; the key's own by default, all of them for a key of all",
	"q":     "Query: field:value (of any path, as attrs.http.status:500), ranges, NOT, OR, free text over names, messages and payloads",
	"state": "What is shown: running, waiting, idle, stuck, silent, failed, unknown, ended; several with commas",
	"agent": "Agent id", "manager": "Agents that this one delegates to",
	"ended": "0 living agents, 1 ended ones, all (default)",
	"sort":  "last (default), cost, tokens, failures, state, name",
	"order": "desc (default) or asc", "limit": "Rows a page, at most 1,000; 0 answers the total alone",
	"after": "Cursor: the next of the page before", "type": "Types, with commas", "status": "How the span ended, or open",
	"open": "1: spans that have not ended", "run": "Run id", "parent": "Span id of the parent", "name": "Name of the tool or model",
	"from_ms": "From this instant on, Unix ms", "to_ms": "Before this instant, Unix ms", "severity": "This severity or worse",
	"offset": "One offset of the log", "system": "1: the log's own records too", "metric": "Name of the metric; all by default",
	"task": "Task id: of its own events and of those that name it", "session": "Session id", "span": "Span id",
	"at":     "As it was at this moment: Unix ms, RFC 3339, how far back (-5m), or offset:N, behind that offset. For further pages: offset: with the offset that the first one answered",
	"points": "Steps, at most 11,000; 300 by default", "what": "events (default), agents or fleet",
	"of": "now (default: the last minute) or busiest: the minute of the last day that had the most events", "times": "So many times the agents of that load; 1 by default",
	"agents": "Agents, in place of those of today", "connections": "Connections; one an agent where agents are given", "rate": "Events a second of each agent",
	"metrics": "Metric samples a second of each agent", "series": "Series of each agent; as many as metrics where these are given", "frame": "Events a WebSocket message carries",
	"viewers": "Live viewers", "seen": "Events and rows a second that each viewer is sent", "days": "Days that events are kept; what --retain says by default, 30 where that is for ever",
	"price": "What the host costs a month, in any currency", "cores": "Cores of another host", "memory_gib": "Memory of another host, GiB", "disk_gb": "Disk of another host, GB",
	"descriptors": "Hard limit of descriptors of another host",
	"mode":        "all (nothing is left out) or latest (the newest state per agent)", "from": "now, an offset, or how far back: -5m",
}

// kinds are the types of the parameters that are not strings.
var kinds = map[string]string{
	"limit": "integer", "points": "integer", "offset": "integer", "from_ms": "number", "to_ms": "number",
	"times": "number", "agents": "number", "connections": "number", "rate": "number", "metrics": "number", "series": "number", "frame": "number",
	"viewers": "number", "seen": "number", "days": "number", "price": "number", "cores": "number", "memory_gib": "number", "disk_gb": "number", "descriptors": "number",
}

// choices are the values of the parameters that take no other.
var choices = map[string][]string{
	"for": {"ingest"}, "ended": {"0", "1", "all"}, "sort": {"last", "cost", "tokens", "failures", "state", "name"}, "order": {"desc", "asc"},
	"what": {"events", "agents", "fleet"}, "of": {"now", "busiest"}, "mode": {"all", "latest"},
}

func schemaOf(parameter string) map[string]any {
	s := map[string]any{"type": cmp.Or(kinds[parameter], "string")}
	if c := choices[parameter]; c != nil {
		s["enum"] = c
	}
	return s
}

var wildcards = regexp.MustCompile(`\{[a-z0-9]+\}`)

// openapiDocument documents the operations, with what the routes say of them.
func openapiDocument(routes []route) ([]byte, error) {
	paths := make(map[string]map[string]any)
	views := make(map[string]bool) // routes that need them
	for _, r := range routes {
		views[r.method+" /"+strings.Join(r.pattern, "/")] = r.views
	}
	for _, o := range operations {
		var params []any
		for seg := range strings.SplitSeq(o.path, "/") {
			if strings.HasPrefix(seg, "{") {
				params = append(params, map[string]any{"name": strings.Trim(seg, "{}"), "in": "path", "required": true, "schema": map[string]any{"type": "string"}})
			}
		}
		for _, p := range strings.Fields(o.params) {
			params = append(params, map[string]any{"name": p, "in": "query", "description": parameters[p], "schema": schemaOf(p)})
		}
		op := map[string]any{
			"summary": o.summary,
			"responses": map[string]any{
				"200":     map[string]any{"description": o.answer},
				"default": map[string]any{"description": "RFC 9457 problem", "content": map[string]any{"application/problem+json": map[string]any{"schema": map[string]any{"$ref": "#/components/schemas/Problem"}}}},
			},
		}
		if params != nil {
			op["parameters"] = params
		}
		if views[o.method+" "+wildcards.ReplaceAllString(o.path, "*")] {
			op["responses"].(map[string]any)["503"] = map[string]any{
				"description": "views_loading: the views are not loaded yet; loading tells how far they are, Retry-After when to ask again",
				"content":     map[string]any{"application/problem+json": map[string]any{"schema": map[string]any{"$ref": "#/components/schemas/Problem"}}},
			}
		}
		if o.open {
			op["security"] = []any{}
		}
		if o.method == "POST" {
			op["requestBody"] = map[string]any{"content": map[string]any{"application/json": map[string]any{}}}
		}
		if paths[o.path] == nil {
			paths[o.path] = make(map[string]any)
		}
		paths[o.path][strings.ToLower(o.method)] = op
	}
	str := map[string]any{"type": "string"}
	return json.MarshalIndent(map[string]any{
		"openapi":  "3.1.0",
		"info":     map[string]any{"title": "eyrie", "version": obs.Version, "description": "Watches a fleet of AI agents live. WebSockets: /v1/agent (agents), /v1/live (viewers); see docs/protocol.md."},
		"security": []any{map[string]any{"key": []any{}}, map[string]any{"session": []any{}}},
		"paths":    paths,
		"components": map[string]any{
			"securitySchemes": map[string]any{
				"key":     map[string]any{"type": "http", "scheme": "bearer"},
				"session": map[string]any{"type": "apiKey", "in": "cookie", "name": "eyrie_session"},
			},
			"schemas": map[string]any{"Problem": map[string]any{"type": "object", "properties": map[string]any{
				"type": str, "title": str, "status": map[string]any{"type": "integer"}, "code": str, "detail": str, "field": str, "loading": map[string]any{"$ref": "#/components/schemas/Loading"},
			}}, "Loading": map[string]any{"type": "object", "properties": map[string]any{
				"phase": map[string]any{"enum": []any{PhaseLoad, PhaseFold}}, "done": map[string]any{"type": "number"}, "behind": map[string]any{"type": "integer"},
				"views": map[string]any{"type": "array", "items": map[string]any{"type": "object", "properties": map[string]any{
					"name": str, "done": map[string]any{"type": "number"}, "behind": map[string]any{"type": "integer"},
				}}},
			}}},
		},
	}, "", "  ")
}

// openapi answers the document.
func (q *req) openapi() error {
	b, err := openapiDocument(q.s.routes)
	if err != nil {
		return err
	}
	return q.raw(b)
}
