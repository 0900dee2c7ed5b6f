package wal

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"eyrie/wal/stretch"
)

// stretches verifies what is sealed: every summary, index, key page and chunk,
// and every record in order of offset.
func (v *verifier) stretches(ctx context.Context) error {
	var list []Stretch
	v.res.First = 1
	for from := uint64(0); ; {
		it, err := v.l.db.NewIter(&pebble.IterOptions{LowerBound: key8(prefixStretch, from), UpperBound: []byte{prefixStretch + 1}})
		if err != nil {
			return err
		}
		for ok := it.First(); ok; ok = it.Next() {
			if st, ok := v.summary(it); ok {
				list = append(list, st)
			}
		}
		bad := it.Error()
		_ = it.Close() // says the same again
		if bad == nil {
			break
		}
		if n := len(list); n > 0 {
			from = list[n-1].Next
		}
		file := v.file()
		to, rest := v.behind(prefixStretch, max(from, 1))
		v.damage(Damage{Part: "stretch", From: max(from, 1), To: to - 1, File: file, Msg: brief(bad)})
		if from = to; !rest {
			break
		}
	}
	if err := v.l.loadDropped(list); err != nil {
		v.damage(Damage{Part: "stretch", File: v.file(), Msg: brief(err)})
	}
	v.l.sealed.change(func([]Stretch) []Stretch { return list })
	v.begins(list)
	for i := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		v.stretch(&list[i])
		if v.o.Progress != nil {
			v.o.Progress(v.next, max(v.mark.next, v.next))
		}
	}
	return nil
}

// begins finds where the log begins: retention has noted it.
func (v *verifier) begins(list []Stretch) {
	t, err := v.l.trimmed()
	if err != nil {
		v.damage(Damage{Part: "meta", File: v.file(), Msg: brief(err)})
	}
	if t.next > 1 && (len(list) == 0 || list[0].Base >= t.next) { // else the server ended before they went
		v.res.First, v.next, v.digest = t.next, t.next, t.digest
		v.incomplete()
	}
	if len(list) > 0 && t.next <= 1 && list[0].Base > 1 {
		v.res.First = list[0].Base
	}
}

// summary reads the summary that it stands on; false for another key.
func (v *verifier) summary(it *pebble.Iterator) (st Stretch, ok bool) {
	k := it.Key()
	if len(k) < 10 || k[9] != partSummary {
		return st, false
	}
	val, err := it.ValueAndErr()
	base := binary.BigEndian.Uint64(k[1:])
	if err == nil {
		err = st.decode(base, val)
	}
	if err != nil {
		v.damage(Damage{Part: "stretch", From: base, To: base, File: v.file(), Msg: brief(err)})
		return st, false
	}
	return st, true
}

// stretch verifies one.
func (v *verifier) stretch(st *Stretch) {
	bad := func(part, msg string) {
		v.damage(Damage{Part: part, From: st.Base, To: st.Next - 1, File: v.file(), Msg: msg})
	}
	v.res.Sealed++
	v.res.Bytes += int64(st.Bytes + st.IndexBytes)
	v.follows("stretch", st.Base)
	if v.linked && st.chain != v.digest {
		bad("chain", "the stretch does not follow from what came before it")
	}
	v.digest, v.linked = st.digest, true
	if st.Next == v.mark.next {
		if v.seen = true; v.digest != v.mark.digest {
			bad("chain", fmt.Sprintf("the digest up to here is %016x, the mark says %016x", v.digest, v.mark.digest))
		}
	}
	x, err := v.l.index(st)
	var w *whole
	if err == nil {
		w, err = v.l.decodeWhole(st, v.l.provenChunk)
	}
	if err != nil {
		bad("index", brief(err))
		v.next = st.Next
		v.incomplete()
		return
	}
	// The chain in the index is the one that was sealed; behind a loss it is another.
	if x.Digest != st.digest || uint64(x.Count) != st.Records {
		bad("index", "it is not what the summary says")
	}
	for i := range x.KeyPages() {
		err := v.l.get(pageKey(st.Base, i), func(p []byte) error {
			_, err := stretch.LookKey(p, 1)
			return err
		})
		if err != nil {
			bad("page", fmt.Sprintf("key page %d: %s", i, brief(err)))
		}
	}
	v.chunks(st, x, w)
}

// chunks verifies the records of a stretch.
func (v *verifier) chunks(st *Stretch, x *stretch.Index, w *whole) {
	whole := len(w.lost) == 0 && st.Dropped == 0
	if !whole {
		v.incomplete()
	}
	for _, e := range w.lost {
		v.damage(Damage{Part: "chunk", From: e.From, To: e.To, File: v.file(), Msg: fmt.Sprintf("%d records: %s", e.Records, e.Reason)})
	}
	var sum uint64
	for i := range w.parts {
		sum += w.parts[i].Digest()
	}
	if whole && sum != x.Sum() {
		v.damage(Damage{Part: "chunk", From: st.Base, To: st.Next - 1, Msg: "its records are not those that were sealed"})
	}
	for off := st.Base; off < st.Next; {
		if off == v.c.next {
			v.next = off
			v.compare()
		}
		b := w.block(off)
		to := st.Next
		if b != nil {
			to = b.Base()
		}
		if to > off && whole && !v.known(off, to-1) {
			v.damage(Damage{Part: "stretch", From: off, To: to - 1, Msg: "no chunk holds them"})
			v.incomplete()
		}
		if b == nil {
			break
		}
		if b.Base() < v.c.next && v.c.next < b.Next() {
			b = b.Cut(int(v.c.next - b.Base()))
		}
		v.records(b, v.recv)
		v.recv, off = b.RecvMax(), b.Next()
	}
	v.next = st.Next
}
