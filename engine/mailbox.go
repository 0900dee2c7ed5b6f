//go:build linux

package engine

import (
	"sync"

	"github.com/gobwas/ws"
)

// mailbox is how other goroutines reach a loop: they post, then wake it. Its
// bounds are those of what posts: replies answer what the ring let in, sends
// are limited per socket, calls are few.
type mailbox struct {
	mu sync.Mutex
	mail
}

// mail is what is posted between two turns of the loop.
type mail struct {
	replies []Reply
	sends   []send
	calls   []func()
}

// send is a message to a generic socket, or its close (code is not zero).
type send struct {
	s     *socket
	frame []byte // whole frame; the reason when closing
	cost  int64
	code  ws.StatusCode
}

// mailKept bounds what a turn's slices keep for the next one, in entries.
const mailKept = 4096

func (b *mailbox) send(s send) {
	b.mu.Lock()
	b.sends = append(b.sends, s)
	b.mu.Unlock()
}

func (b *mailbox) call(fn func()) {
	b.mu.Lock()
	b.calls = append(b.calls, fn)
	b.mu.Unlock()
}

// take swaps the posted mail for the emptied spare.
func (b *mailbox) take(spare mail) mail {
	b.mu.Lock()
	m := b.mail
	b.mail = spare
	b.mu.Unlock()
	return m
}

// empty lets go of what m refers to and keeps its room, unless that is large.
func (m *mail) empty() {
	m.replies = emptied(m.replies)
	m.sends = emptied(m.sends)
	m.calls = emptied(m.calls)
}

func emptied[T any](s []T) []T {
	if cap(s) > mailKept {
		return nil
	}
	clear(s)
	return s[:0]
}
