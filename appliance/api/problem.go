package api

import (
	"context"
	"encoding/json"
	"errors"

	"eyrie/appliance/access"
	"eyrie/appliance/intake"
	"eyrie/appliance/query"
	"eyrie/appliance/views/fleet"
	"eyrie/appliance/views/spans"
	"eyrie/wal"
	"eyrie/wal/blob"

	"github.com/valyala/fasthttp"
)

// Problem is an error as RFC 9457 has it, with a machine code and, where one
// field is to blame, its name.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail,omitempty"`
	Field  string `json:"field,omitempty"`

	Loading *Loading `json:"loading,omitempty"` // where views are not loaded yet
}

// Error returns the detail.
func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

func problem(status int, code, detail string) *Problem {
	return &Problem{Type: "about:blank", Title: fasthttp.StatusMessage(status), Status: status, Code: code, Detail: detail}
}

func badField(field, detail string) *Problem {
	p := problem(400, "bad_parameter", detail)
	p.Field = field
	return p
}

// asProblem maps an error of the parts below to what the caller is told.
// Anything unknown is an internal error, whose text stays in the log.
func asProblem(err error) (p *Problem, internal bool) {
	var q *query.Error
	if p := blobProblem(err); p != nil {
		return p, errors.Is(err, blob.ErrDamaged)
	}
	switch {
	case errors.As(err, &p):
		return p, false
	case errors.As(err, &q):
		return badField("q", q.Error()), false
	case errors.Is(err, fleet.ErrCursor):
		return badField("after", err.Error()), false
	case errors.Is(err, fleet.ErrSort):
		return badField("sort", err.Error()), false
	case errors.Is(err, fleet.ErrShow):
		return badField("state", err.Error()), false
	case errors.Is(err, fleet.ErrEnded):
		return badField("ended", err.Error()), false
	case errors.Is(err, fleet.ErrBefore):
		return problem(404, "before_log", err.Error()), false
	case errors.Is(err, fleet.ErrFuture):
		return badField("at", err.Error()), false
	case errors.Is(err, fleet.ErrGone):
		return problem(410, "gone", err.Error()), false
	case errors.Is(err, fleet.ErrBusy):
		return problem(503, "busy", err.Error()), false
	case errors.Is(err, context.DeadlineExceeded):
		return problem(503, "busy", "It took too long. Ask again."), false
	case errors.Is(err, spans.ErrCursor):
		return badField("after", err.Error()), false
	case errors.Is(err, spans.ErrType):
		return badField("type", err.Error()), false
	case errors.Is(err, spans.ErrStatus):
		return badField("status", err.Error()), false
	case errors.Is(err, wal.ErrDiskFull):
		return problem(507, "disk_full", "The disk is below its watermark. Hold your events and send them again."), false
	case errors.Is(err, wal.ErrNotFound):
		return problem(404, "not_found", err.Error()), false
	case errors.Is(err, intake.ErrBusy), errors.Is(err, intake.ErrStopped):
		return problem(503, "busy", err.Error()), false
	case errors.Is(err, intake.ErrMismatch):
		return problem(422, "idempotency_mismatch", err.Error()), false
	case errors.Is(err, access.ErrBadToken):
		return problem(400, "bad_token", err.Error()), false
	case errors.Is(err, access.ErrNoToken):
		return problem(404, "not_found", err.Error()), false
	case errors.Is(err, access.ErrStanding), errors.Is(err, access.ErrTooMany):
		return problem(409, "conflict", err.Error()), false
	}
	return problem(500, "internal", "Something failed inside eyrie; its log says what."), true
}

func (s *Server) fail(ctx *fasthttp.RequestCtx, err error) {
	p, internal := asProblem(err)
	if internal {
		s.p.Logger.Error("request failed", "method", string(ctx.Method()), "path", string(ctx.Path()), "err", err)
	}
	writeProblem(ctx, p)
}

func writeProblem(ctx *fasthttp.RequestCtx, p *Problem) {
	b, _ := json.Marshal(p)
	ctx.Response.ResetBody()
	ctx.SetStatusCode(p.Status)
	ctx.SetContentType("application/problem+json")
	if p.Status == 401 {
		ctx.Response.Header.Set("WWW-Authenticate", `Bearer realm="eyrie"`)
	}
	switch {
	case p.Code == "views_loading":
		ctx.Response.Header.Set("Retry-After", "1")
	case p.Status == 503 || p.Status == 507 || p.Status == 429:
		ctx.Response.Header.Set("Retry-After", "5")
	}
	ctx.SetBody(b)
}

// badRequest answers what fasthttp could not parse.
func (s *Server) badRequest(ctx *fasthttp.RequestCtx, err error) {
	s.blobs.leave(&ctx.Request.Header)
	p := problem(400, "bad_request", "The request could not be read.")
	var small *fasthttp.ErrSmallBuffer
	switch {
	case errors.As(err, &small):
		p = problem(431, "header_too_large", "The request's header is larger than 16 KiB.")
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		p = s.tooLarge(ctx)
	}
	writeProblem(ctx, p)
	ctx.SetConnectionClose()
	linger(ctx)
}
