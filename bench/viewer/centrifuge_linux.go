package viewer

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// A frame of Centrifuge's holds replies as JSON, one a line:
//
//	{"id":1,"connect":{…}}    {"id":2,"subscribe":{…}}    {"push":{"channel":…,"pub":{"data":…}}}
//
// An empty one is a ping and wants the same as an answer.
const (
	centrifugePath     = "/connection/websocket"
	centrifugeProtocol = "centrifuge-json"
)

var (
	centrifugePush = []byte(`{"push":`)
	centrifugePing = []byte(`{}`)
)

// greet is what a viewer says first.
func (l *loop) greet(c *conn) {
	l.put(c, []byte(`{"id":1,"connect":{}}`))
}

// frame takes one frame of Centrifuge's.
func (l *loop) frame(c *conn, p []byte, now int64) {
	s := &c.subs[0]
	if items := bytes.Count(p, centrifugePush); items > 0 {
		if l.counting {
			l.res.Items += uint64(items)
			l.res.Messages++
		}
		marks(p, func(us int64, n uint64) { l.marked(c, s, us, n, now) })
	}
	for line := range bytes.SplitSeq(p, []byte("\n")) {
		switch {
		case len(line) == 0 || bytes.HasPrefix(line, centrifugePush):
		case bytes.Equal(line, centrifugePing):
			l.put(c, centrifugePing)
		default:
			l.reply(c, line)
		}
	}
}

// reply is an answer to what was said.
func (l *loop) reply(c *conn, p []byte) {
	var r struct {
		ID    int `json:"id"`
		Error *struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal(p, &r); err != nil {
		l.res.fault(fmt.Sprintf("viewer %d: what cannot be read: %v", c.Index, err))
		return
	}
	switch {
	case r.Error != nil:
		l.Drop(&c.Link, "refused: "+r.Error.Message)
	case r.ID == 1:
		l.put(c, fmt.Appendf(nil, `{"id":2,"subscribe":{"channel":%q}}`, c.subs[0].watch.Filter.Agent))
	case r.ID == 2 && !c.up:
		l.up(c)
	default:
		l.res.fault(fmt.Sprintf("viewer %d: a reply to %d", c.Index, r.ID))
	}
}
