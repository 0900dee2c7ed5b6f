package intake

import (
	"encoding/hex"
	"errors"

	"eyrie/engine"
	"eyrie/engine/wire"
	"eyrie/netpoll"
	"eyrie/wal"

	"github.com/gobwas/ws"
	"github.com/tinylib/msgp/msgp"
)

// Close codes that a producer's client must tell apart.
const (
	CloseFenced   ws.StatusCode = 4000 // another link speaks for this producer now
	CloseEpochLow ws.StatusCode = 4001 // a newer life of this producer was seen
	closeTryAgain ws.StatusCode = 1013 // RFC 6455 registry: try again later
)

// link is one admitted agent link.
type link struct {
	handle   netpoll.Handle
	producer uint32
	space    []byte
	name     string // space, for hooks
	now      int64  // the sender's clock in its hello, 0 for not said
	fenced   bool   // replaced or held: what still comes from it is dropped
	agent    uint32 // the agent of the item before
	agentID  []byte
	gap      bool // the current frame had a number that was not settled
	fresh    bool // the current frame settled a number
	seen     bool // the current frame had a number that was settled before
}

// hello opens a link: it fences the producer and owes the welcome.
func (in *Intake) hello(it *engine.Item) {
	var h engine.HelloItem
	if err := engine.DecodeHello(it.Payload, &h); err != nil {
		panic("intake: the ring holds a hello the engine never wrote: " + err.Error())
	}
	if err := in.w.Wall(); err != nil {
		in.closeNow(it.Link, closeTryAgain, "disk full: hold your events and come back")
		return
	}
	key := wal.ProducerKey{Space: h.Space, Owner: h.Owner, ID: h.Producer}
	if in.stale(key, &h) {
		in.closeNow(it.Link, closeTryAgain, "a later hello of this producer was read before this one")
		return
	}
	p, wel, err := in.w.Fence(key, h.Epoch, h.First)
	switch {
	case errors.Is(err, wal.ErrEpochLow):
		in.m.fenced.Inc()
		in.closeNow(it.Link, CloseEpochLow, "a newer life of this producer was seen")
		return
	case err != nil:
		in.closeNow(it.Link, closeTryAgain, err.Error())
		return
	}
	if old, ok := in.holder[p]; ok && old != it.Link {
		if l := in.table[old]; l != nil {
			l.fenced = true
		}
		in.m.fenced.Inc()
		in.closeNow(old, CloseFenced, "another link speaks for this producer now")
	}
	in.settleOwed() // Wall may have asked for the disk anew
	l := &link{handle: it.Link, producer: p, space: []byte(h.Space), name: h.Space, now: h.Now}
	in.table[it.Link], in.holder[p] = l, it.Link
	in.open.Store(int64(len(in.table)))
	var agent uint32
	if h.Agent != "" {
		agent = in.agentNumber(l, []byte(h.Agent))
	}
	in.w.Link(linkOpened, agent, p, opened(it.Link, &h))
	in.cur.say(engine.Reply{Link: it.Link, Kind: engine.ReplyWelcome, Welcome: &wire.Welcome{
		Log: in.log.ID(), Epoch: uint64(in.log.Epoch()), Next: wel.Next, Pos: wel.Pos, Limits: wire.DefaultLimits(),
	}})
}

// stale tells that the hello is older than that of the link which speaks for the
// producer now, of the same life: it was in flight on a socket that its client
// has left, and was read late. Taking it would send the living link away for good.
func (in *Intake) stale(k wal.ProducerKey, h *engine.HelloItem) bool {
	p, _, known := in.w.Producer(k)
	if !known || h.Now == 0 || h.Epoch != in.w.Epoch(p) {
		return false
	}
	handle, held := in.holder[p]
	l := in.table[handle]
	return held && l != nil && !l.fenced && h.Now < l.now
}

// Classes of link records.
const (
	linkOpened = 1
	linkClosed = 2
)

// opened is the payload of the record of an opened link: a map of op, link,
// owner, remote, codec, producer and, where the hello declared one, agent.
func opened(link netpoll.Handle, h *engine.HelloItem) []byte {
	n := uint32(6)
	if len(h.Declare) > 0 {
		n++
	}
	b := msgp.AppendMapHeader(nil, n)
	b = msgp.AppendString(msgp.AppendString(b, "op"), "open")
	b = msgp.AppendUint64(msgp.AppendString(b, "link"), uint64(link))
	b = msgp.AppendString(msgp.AppendString(b, "owner"), h.Owner)
	b = msgp.AppendString(msgp.AppendString(b, "remote"), h.Remote.String())
	b = msgp.AppendString(msgp.AppendString(b, "codec"), h.Codec.String())
	b = msgp.AppendString(msgp.AppendString(b, "producer"), hex.EncodeToString(h.Producer[:]))
	if len(h.Declare) > 0 {
		b = append(msgp.AppendString(b, "agent"), h.Declare...)
	}
	return b
}

// closed records the end of a link.
func (in *Intake) closed(it *engine.Item) {
	l := in.table[it.Link]
	if l == nil {
		return
	}
	delete(in.table, it.Link)
	in.open.Store(int64(len(in.table)))
	if in.holder[l.producer] == it.Link {
		delete(in.holder, l.producer)
	}
	if in.last == l {
		in.last = nil
	}
	b := msgp.AppendMapHeader(nil, 4)
	b = msgp.AppendString(msgp.AppendString(b, "op"), "close")
	b = msgp.AppendUint64(msgp.AppendString(b, "link"), uint64(it.Link))
	b = msgp.AppendUint64(msgp.AppendString(b, "code"), it.Seq)
	b = msgp.AppendString(msgp.AppendString(b, "reason"), string(it.Payload))
	in.note(owed{kind: wal.KindLink, class: linkClosed, agent: l.agent, producer: l.producer, payload: b})
}

// closeNow closes a link without waiting for a commit: nothing of its is owed.
func (in *Intake) closeNow(h netpoll.Handle, code ws.StatusCode, reason string) {
	in.links.Reply([]engine.Reply{{Link: h, Kind: engine.ReplyClose, Close: code, Msg: reason}})
}

// agentNumber returns the dense number of an agent of the link's space. The
// agent of the event before is remembered.
func (in *Intake) agentNumber(l *link, id []byte) uint32 {
	if l.agent != 0 && string(id) == string(l.agentID) {
		return l.agent
	}
	n := in.w.Agent(l.space, id)
	l.agent, l.agentID = n, append(l.agentID[:0], id...)
	return n
}
