package api

import (
	"strconv"

	"eyrie/engine/wire"
)

// linkRow is one open link.
type linkRow struct {
	Link     string  `json:"link"`
	Space    string  `json:"space"`
	Agent    string  `json:"agent,omitempty"`
	Owner    string  `json:"owner"`
	Remote   string  `json:"remote"`
	Codec    string  `json:"codec"`
	Opened   float64 `json:"opened_ms"`
	Seen     float64 `json:"seen_ms"`
	Events   uint64  `json:"events"`
	BytesIn  uint64  `json:"bytes_in"`
	Next     uint64  `json:"next_seq"`
	Paused   bool    `json:"paused"`
	Listener string  `json:"listener"`
}

// links answers who is connected.
func (q *req) links() error {
	rows := []linkRow{}
	for _, l := range q.s.p.Engine.Links() {
		if !q.who.Reads(l.Space) {
			continue
		}
		name := "web"
		if l.Listener == ListenerIngest {
			name = "ingest"
		}
		rows = append(rows, linkRow{
			Link: strconv.FormatUint(uint64(l.Link), 16), Space: l.Space, Agent: l.Agent, Owner: l.Owner, Remote: l.Remote.String(),
			Codec: l.Codec.String(), Opened: float64(l.Opened.UnixMicro()) / 1e3, Seen: float64(l.Seen.UnixMicro()) / 1e3,
			Events: l.Events, BytesIn: l.BytesIn, Next: l.Next, Paused: l.Paused, Listener: name,
		})
	}
	return q.json(list{Items: rows, Total: len(rows)})
}

// logID is the log's id as the wire has it.
func logID(s *Server) string {
	return wire.FormatUUID(s.p.Log.ID())
}
