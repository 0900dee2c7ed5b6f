package access

import (
	"net/url"
	"strings"

	"eyrie/engine"
)

// Tags of the listeners, as the engine passes them on. From this machine itself
// either one takes everything; from elsewhere each keeps to its role.
const (
	ListenerIngest = 1
	ListenerWeb    = 2
)

// Paths of the two WebSockets.
const (
	AgentPath = "/v1/agent"
	LivePath  = "/v1/live"
)

// Admit implements engine.Gate: agents need a key that may send, viewers one
// that may read, or a session; a browser must come from the page's own origin.
func (k *Keys) Admit(r *engine.Request) (engine.Grant, *engine.Refusal) {
	if !r.Remote.Addr().Unmap().IsLoopback() && (r.Path == LivePath) != (r.Listener == ListenerWeb) {
		return engine.Grant{}, &engine.Refusal{Status: 404, Code: "not_found", Msg: "This port is not for that: agents connect to the ingest port, viewers to the web port."}
	}
	if r.Origin != "" && !sameHost(r.Origin, r.Host) {
		return engine.Grant{}, &engine.Refusal{Status: 403, Code: "origin", Msg: "This page's origin is not eyrie's own."}
	}
	min := Agent
	t, ok := k.Check(r.Key)
	if r.Path == LivePath {
		min = Viewer
		if r.Key == "" {
			t, ok = k.CheckSession(CookieValue(r.Cookie, SessionCookie))
		}
	}
	switch {
	case !ok && r.Key == "":
		return engine.Grant{}, &engine.Refusal{Status: 401, Code: "key_missing", Msg: "A key is needed: Authorization: Bearer KEY, or the subprotocol eyrie.key.KEY."}
	case !ok:
		return engine.Grant{}, &engine.Refusal{Status: 401, Code: "key_unknown", Msg: "This key is not known here, has expired or was revoked."}
	case !t.Role.Includes(min):
		return engine.Grant{}, &engine.Refusal{Status: 403, Code: "role", Msg: "The role " + string(t.Role) + " may not open this."}
	}
	space := t.Space
	if r.Path == AgentPath {
		space = t.Writes()
	}
	return engine.Grant{Space: space, Owner: t.ID, Agents: t.Agents, Role: string(t.Role)}, nil
}

// sameHost reports whether an Origin header names the host of the request.
func sameHost(origin, host string) bool {
	u, err := url.Parse(origin)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && strings.EqualFold(u.Host, host)
}
