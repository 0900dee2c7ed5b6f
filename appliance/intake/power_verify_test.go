package intake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"eyrie/engine/wire"
	"eyrie/wal"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// known is what was acknowledged at an instant.
type known struct {
	numbers [3]uint64
	posts   []posting
}

func (w *world) known() (k known) {
	for i, c := range w.clients {
		k.numbers[i] = max(c.acked.Load(), c.floor)
	}
	k.posts = w.poster.known()
	return k
}

// verify holds what is left against what was known when the plug was pulled.
func (w *world) verify(s *site, k known) error {
	next := s.log.Next()
	for _, f := range s.views.runner.Stats() {
		if f.Cursor > next {
			return fmt.Errorf("the view %s is at %d, ahead of the log's %d", f.Name, f.Cursor, next)
		}
	}
	if err := w.verifyLog(s.log, k); err != nil {
		return err
	}
	if err := s.views.catchUp(next); err != nil {
		return err
	}
	fresh, err := openViews(vfs.NewMem(), "views", s.log)
	if err != nil {
		return err
	}
	err = fresh.catchUp(next)
	got, e1 := s.views.dump()
	want, e2 := fresh.dump()
	if err = errors.Join(err, e1, e2, fresh.close()); err == nil && got != want {
		err = fmt.Errorf("a view differs from its fold from zero:\n%s", difference(got, want))
	}
	return err
}

// difference is the first line in which two dumps differ.
func difference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			at := 0
			for at < min(len(g[i]), len(w[i])) && g[i][at] == w[i][at] {
				at++
			}
			from := max(at-200, 0)
			return fmt.Sprintf("line %d\n got …%.400s\nwant …%.400s", i, g[i][from:], w[i][from:])
		}
	}
	return fmt.Sprintf("%d lines and %d", len(g), len(w))
}

// verifyLog reads the log from its beginning.
func (w *world) verifyLog(log *wal.Log, k known) error {
	var stored [3]uint64
	posts := map[string][]uint64{}
	want, recv := uint64(1), int64(0)
	for f := log.Follow(1); f.Offset() < log.Next(); {
		b, err := f.Next(context.Background())
		if err != nil {
			return err
		}
		for i := range b.Len() {
			r := b.Record(i)
			if r.Offset != want || r.Recv < recv {
				return fmt.Errorf("offset %d, recv %d behind offset %d, recv %d", r.Offset, r.Recv, want-1, recv)
			}
			want, recv = want+1, r.Recv
			if r.Kind != wal.KindEvent {
				continue
			}
			_, agent, _ := log.Agent(r.Agent)
			if agent == "poster" {
				var e wire.Event
				if err := wire.DecodeEvent(r.Payload, &e); err != nil {
					return err
				}
				posts[e.Msg] = append(posts[e.Msg], r.Offset)
				continue
			}
			var p byte
			if _, err := fmt.Sscanf(agent, "p%d.", &p); err != nil || p < 1 || int(p) > len(stored) {
				return fmt.Errorf("offset %d is of the agent %q", r.Offset, agent)
			}
			stored[p-1]++
			e := script(p, stored[p-1])
			if r.Seq != stored[p-1] || agent != e.Agent || !bytes.Equal(r.Payload, e.AppendMsgpack(nil)) {
				return fmt.Errorf("offset %d is number %d of producer %d, want %d: lost, twice or changed", r.Offset, r.Seq, p, stored[p-1])
			}
		}
	}
	for i, c := range w.clients {
		switch {
		case stored[i] < k.numbers[i]:
			return fmt.Errorf("producer %d: %d stored, %d were acknowledged", c.p, stored[i], k.numbers[i])
		case stored[i] > c.sent:
			return fmt.Errorf("producer %d: %d stored, %d were sent", c.p, stored[i], c.sent)
		case !c.ends[stored[i]]:
			return fmt.Errorf("producer %d: the log ends at %d, inside a frame", c.p, stored[i])
		}
	}
	return w.verifyPosts(posts, k, stored)
}

func (w *world) verifyPosts(posts map[string][]uint64, k known, stored [3]uint64) error {
	n := 0
	for i := 1; i <= w.poster.sent; i++ {
		s := submission(i)
		var offs []uint64
		for j := range s.Events {
			at := posts[fmt.Sprintf("post %d.%d", i, j)]
			if len(at) > 1 {
				return fmt.Errorf("submission %d is stored %d times", i, len(at))
			}
			offs = append(offs, at...)
		}
		n += len(offs)
		if len(offs) != 0 && len(offs) != len(s.Events) {
			return fmt.Errorf("submission %d is stored in part", i)
		}
		if i <= len(k.posts) && (len(offs) == 0 || offs[0] != k.posts[i-1].first || offs[len(offs)-1] != k.posts[i-1].last) {
			return fmt.Errorf("submission %d was acknowledged as %+v and is at %v", i, k.posts[i-1], offs)
		}
	}
	if len(posts) != n {
		return fmt.Errorf("%d posted events, %d are accounted for", len(posts), n)
	}
	// What can be read now must stay, acknowledged or not.
	for i, c := range w.clients {
		c.floor = stored[i]
	}
	return nil
}

// notices opens a damaged log: it must refuse, or hold everything acknowledged.
func (w *world) notices(fs vfs.FS, k known) (bool, error) {
	var floors [3]uint64
	for i, c := range w.clients {
		floors[i] = c.floor
	}
	in := New(nil, nil, Options{})
	log, err := w.openLog(fs, in)
	if err != nil {
		return true, nil
	}
	err = w.verifyLog(log, k)
	for i, c := range w.clients {
		c.floor = floors[i]
	}
	return false, errors.Join(err, log.Close())
}
