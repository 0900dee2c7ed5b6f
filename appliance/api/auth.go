package api

import (
	"encoding/json"
	"net/url"
	"strings"

	"eyrie/appliance/access"

	"github.com/valyala/fasthttp"
)

// identify finds out who asks: by key, else by session.
func (q *req) identify() {
	if h := string(q.Request.Header.Peek("Authorization")); h != "" {
		scheme, key, _ := strings.Cut(h, " ")
		if strings.EqualFold(scheme, "Bearer") {
			q.who, q.ok = q.s.p.Keys.Check(strings.TrimSpace(key))
		}
		return
	}
	if v := q.Request.Header.Cookie(access.SessionCookie); len(v) > 0 {
		q.who, q.ok = q.s.p.Keys.CheckSession(string(v))
	}
}

// allowed reports whether the one who asks may use the route.
func (q *req) allowed(r *route) error {
	if r.write && !q.ownOrigin() {
		return problem(403, "origin", "This page's origin is not eyrie's own.")
	}
	if r.min == "" {
		return nil
	}
	if !q.ok {
		if len(q.Request.Header.Peek("Authorization")) > 0 {
			return problem(401, "key_unknown", "This key is not known here, has expired or was revoked.")
		}
		return problem(401, "key_missing", "A key is needed: Authorization: Bearer KEY. The operator's is in keys/operator of the data folder.")
	}
	if !q.who.Role.Includes(r.min) {
		return problem(403, "role", "The role "+string(q.who.Role)+" may not do this.")
	}
	if r.all && q.who.Space != access.AnySpace {
		return problem(403, "space", "This is of all spaces, and for keys that may read them all.")
	}
	return nil
}

// ownOrigin reports whether a browser's request comes from eyrie's own page;
// programs send no Origin.
func (q *req) ownOrigin() bool {
	o := string(q.Request.Header.Peek("Origin"))
	if o == "" {
		return true
	}
	u, err := url.Parse(o)
	return err == nil && strings.EqualFold(u.Host, string(q.Host()))
}

// space returns the space asked for, or the one the key is bound to; "" stands
// for all that the key may read.
func (q *req) space() (string, error) { return q.readable(q.arg("space")) }

func (q *req) readable(space string) (string, error) {
	if space == "" && q.who.Space != access.AnySpace {
		return q.who.Space, nil
	}
	if space != "" && !q.who.Reads(space) {
		return "", problem(403, "space", "This key may not read the space "+space+".")
	}
	return space, nil
}

// session answers who is signed in.
func (q *req) session() error {
	return q.json(map[string]any{"role": q.who.Role, "space": q.who.Space, "name": q.who.Name})
}

// signIn turns a key into a session cookie.
func (q *req) signIn() error {
	var b struct {
		Key string `json:"key"`
	}
	if err := json.Unmarshal(q.PostBody(), &b); err != nil || b.Key == "" {
		return badField("key", `want {"key": "…"}`)
	}
	t, ok := q.s.p.Keys.Check(b.Key)
	if !ok {
		return problem(401, "key_unknown", "This key is not known here, has expired or was revoked.")
	}
	if !t.Role.Includes(access.Viewer) {
		return problem(403, "role", "This is an agent's key: it sends events and sees nothing. Sign in with the operator's.")
	}
	// A full disk must not keep out who is to make room.
	if err := q.recordBy(t.ID, "session.create", t.ID, ""); err != nil {
		q.s.p.Logger.Warn("a sign-in could not be recorded", "key", t.ID, "err", err)
	}
	v, exp := q.s.p.Keys.Session(t)
	c := fasthttp.AcquireCookie()
	defer fasthttp.ReleaseCookie(c)
	c.SetKey(access.SessionCookie)
	c.SetValue(v)
	c.SetExpire(exp)
	c.SetPath("/")
	c.SetHTTPOnly(true)
	c.SetSameSite(fasthttp.CookieSameSiteStrictMode)
	c.SetSecure(strings.EqualFold(string(q.Request.Header.Peek("X-Forwarded-Proto")), "https"))
	q.Response.Header.SetCookie(c)
	return q.json(map[string]any{"role": t.Role, "space": t.Space, "name": t.Name})
}

// signOut forgets the session in this browser.
func (q *req) signOut() error {
	if len(q.Request.Header.Cookie(access.SessionCookie)) > 0 && q.ok {
		if err := q.record("session.delete", q.who.ID); err != nil {
			q.s.p.Logger.Warn("a sign-out could not be recorded", "key", q.who.ID, "err", err)
		}
	}
	c := fasthttp.AcquireCookie()
	defer fasthttp.ReleaseCookie(c)
	c.SetKey(access.SessionCookie)
	c.SetPath("/")
	c.SetHTTPOnly(true)
	c.SetSameSite(fasthttp.CookieSameSiteStrictMode)
	c.SetExpire(fasthttp.CookieExpireDelete)
	q.Response.Header.SetCookie(c)
	q.SetStatusCode(204)
	return nil
}
