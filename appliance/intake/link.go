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
	now      int64  // the sender's clock in its hello, 0 for not said
	agent    uint32 // of the item before
	space    *space
	ackGroup uint64 // number of the group in which an ack is owed, at
	ackAt    int32  // this place among its replies
	open     bool   // the slot is in use
	fenced   bool   // replaced or held: what still comes from it is dropped
	gap      bool   // the current frame had a number that was not settled
	fresh    bool   // the current frame settled a number
	seen     bool   // the current frame had a number that was settled before
}

// space is a space's name, for all links of it.
type space struct {
	name string
	text []byte // the same
}

// spaceOf returns the one space of this name.
func (in *Intake) spaceOf(name string) *space {
	s := in.spaces[name]
	if s == nil {
		s = &space{name, []byte(name)}
		in.spaces[name] = s
	}
	return s
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
		if l := in.table.at(old); l != nil {
			l.fenced = true
		}
		in.m.fenced.Inc()
		in.closeNow(old, CloseFenced, "another link speaks for this producer now")
	}
	in.settleOwed() // Wall may have asked for the disk anew
	in.last = nil   // its place may be another's now
	l := in.table.put(link{handle: it.Link, producer: p, space: in.spaceOf(h.Space), now: h.Now})
	in.holder[p] = it.Link
	in.open.Store(int64(in.table.n))
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
	l := in.table.at(handle)
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
	at := in.table.at(it.Link)
	if at == nil {
		return
	}
	l := *at
	in.table.drop(it.Link)
	in.last = nil
	in.open.Store(int64(in.table.n))
	if in.holder[l.producer] == it.Link {
		delete(in.holder, l.producer)
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

// agentNumber returns the dense number of an agent of the link's space.
func (in *Intake) agentNumber(l *link, id []byte) uint32 {
	l.agent = in.w.Agent(l.space.text, id)
	return l.agent
}
