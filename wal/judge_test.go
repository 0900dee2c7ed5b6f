package wal

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"
)

func TestVerdicts(t *testing.T) {
	fs := newMem()
	r := mustOpen(t, small(fs))
	defer func() { r.mustClose(t) }()
	p, _ := r.mustFence(t, 1, 5, 1)
	a := r.w.Agent([]byte("main"), []byte("a"))
	put := func(seq uint64, class, flags uint8, agent, key uint32, text string) Verdict {
		return r.w.Append(p, seq, class, flags, agent, key, 1, []byte(text))
	}
	step := func(want, got Verdict) {
		t.Helper()
		if got != want {
			t.Errorf("%v, want %v", got, want)
		}
	}
	// The same questions are asked while the numbers are in the block being
	// filled, in the store, and after a restart.
	ask := func() {
		t.Helper()
		step(Duplicate, put(1, 1, 2, a, 3, "one"))
		step(Conflict, put(1, 1, 2, a, 3, "other"))
		step(Conflict, put(1, 0, 2, a, 3, "one"))
		step(Conflict, put(1, 1, 0, a, 3, "one"))
		step(Conflict, put(1, 1, 2, 0, 3, "one"))
		step(Conflict, put(1, 1, 2, a, 0, "one"))
		step(Spent, put(2, 1, 2, a, 3, "whatever was refused"))
		step(Spent, put(3, 1, 2, a, 3, "lost"))
		step(Spent, put(5, 1, 2, a, 3, "lost"))
		step(Spent, put(7, 1, 2, a, 3, "shed"))
		step(Conflict, put(8, 1, 2, a, 3, "one"))
		step(Duplicate, put(8, 1, 2, a, 3, "eight"))
		step(Gap, put(10, 1, 2, a, 3, "ten"))
		step(Duplicate, r.w.Refused(p, 1, nil))
		step(Duplicate, r.w.Lost(p, 2, 8, nil))
		step(Gap, r.w.Lost(p, 11, 12, nil))
		step(Gap, r.w.Refused(p, 10, nil))
		if got := r.w.NextSeq(p); got != 9 {
			t.Errorf("next is %d", got)
		}
	}
	step(Gap, put(2, 1, 2, a, 3, "two"))
	step(Stored, put(1, 1, 2, a, 3, "one"))
	step(Stored, r.w.Refused(p, 2, []byte("size")))
	step(Stored, r.w.Lost(p, 1, 5, []byte("full"))) // 3..5 are taken
	step(Stored, r.w.Shed(p, 6, 7, 1, nil))
	step(Stored, put(8, 1, 2, a, 3, "eight"))
	ask()
	if _, _, err := r.w.Fence(key(1), 4, 1); !errors.Is(err, ErrEpochLow) {
		t.Error(err)
	}
	r.mustCommit(t)
	ask()
	r.mustClose(t)
	r = mustOpen(t, small(fs))
	ask()
	if _, _, err := r.w.Fence(key(1), 4, 1); !errors.Is(err, ErrEpochLow) {
		t.Error(err)
	}
	if _, wel := r.mustFence(t, 1, 5, 1); wel.Next != 9 {
		t.Errorf("%+v", wel)
	}
	if _, wel := r.mustFence(t, 1, 6, 12); wel.Next != 12 || wel.GapFrom != 9 || wel.GapTo != 11 {
		t.Errorf("%+v", wel)
	}
	step(Spent, put(10, 1, 2, a, 3, "ten"))
	step(Stored, put(12, 1, 2, a, 3, "twelve"))
	step(Conflict, put(8, 1, 2, a, 3, "one"))
	r.mustCommit(t)
	var lost []string
	for _, x := range r.all(t) {
		if x.Kind == KindLost {
			lost = append(lost, fmt.Sprintf("%d-%d %s", x.Seq, x.To(), x.Body()))
		}
	}
	if fmt.Sprint(lost) != "[3-5 full 9-11 gap]" {
		t.Error(lost)
	}
}

// TestOldNumbersAreFollowedBack asks for numbers many blocks of the producer
// back, through the cache, the store, and beyond the bound.
func TestOldNumbersAreFollowedBack(t *testing.T) {
	o := small(newMem())
	o.CacheBytes = 1
	r := mustOpen(t, o)
	defer r.mustClose(t)
	p, _ := r.mustFence(t, 1, 1, 1)
	const blocks = hopsMax + 8
	for i := range uint64(blocks) {
		for j := range uint64(10) {
			if v := r.w.Append(p, i*10+j+1, 1, 1, 0, 0, 0, fmt.Appendf(nil, "%d", i*10+j+1)); v != Stored {
				t.Fatal(v)
			}
		}
		r.mustCommit(t)
	}
	for seq := uint64(1); seq <= blocks*10; seq++ {
		if v := r.w.Append(p, seq, 1, 1, 0, 0, 0, fmt.Appendf(nil, "%d", seq)); v != Duplicate {
			t.Fatal(seq, v)
		}
		want := Conflict
		if seq <= 80 {
			want = Duplicate // beyond the bound: not compared any more
		}
		if v := r.w.Append(p, seq, 1, 1, 0, 0, 0, []byte("x")); v != want {
			t.Fatal(seq, v)
		}
	}
}

// A producer that expires leaves a record; it stays forgotten whatever of the
// record, the checkpoint and a restart comes first.
func TestExpiry(t *testing.T) {
	fs, c := newMem(), newClock()
	o := small(fs)
	o.Now = c.now
	r := mustOpen(t, o)
	p, _ := r.mustFence(t, 1, 9, 1)
	q, _ := r.mustFence(t, 2, 9, 1)
	r.w.Append(p, 1, 1, 1, 0, 0, c.now().UnixNano(), nil)
	r.mustCommit(t)
	r.mustClose(t) // with a checkpoint of both
	r = mustOpen(t, o)
	c.add(50 * time.Minute)
	r.w.Append(q, 1, 1, 1, 0, 0, c.now().UnixNano(), nil)
	c.add(30 * time.Minute)
	hour := func(_ uint32, _ *ProducerKey, idle time.Duration) bool { return idle >= time.Hour }
	r.w.Expire(hour)
	r.w.Expire(hour)
	r.mustCommit(t)
	for range 3 { // the last opens see what the one before has checkpointed
		if _, ok := r.Producer(p); ok {
			t.Error("an expired producer is known")
		}
		if _, _, ok := r.w.Producer(key(1)); ok {
			t.Error("the writer knows an expired producer")
		}
		if s, ok := r.Producer(q); !ok || s.Next != 2 || s.Epoch != 9 {
			t.Error(s, ok)
		}
		r.mustClose(t)
		r = mustOpen(t, o)
	}
	defer r.mustClose(t)
	p2, wel := r.mustFence(t, 1, 1, 7)
	if p2 == p || p2 == q || wel.GapFrom != 1 || wel.GapTo != 6 || wel.Next != 7 {
		t.Errorf("producer %d, %+v", p2, wel)
	}
	var said []string
	for _, x := range r.all(t) {
		if x.Kind == KindExpired {
			said = append(said, fmt.Sprintf("p%d s%d", x.Producer, x.Seq))
		}
	}
	if fmt.Sprint(said) != fmt.Sprintf("[p%d s2]", p) {
		t.Error(said)
	}
}

// A power cut right behind the record's commit, without a checkpoint.
func TestExpiryWithoutCheckpoint(t *testing.T) {
	fs := vfs.NewCrashableMem()
	o := small(fs)
	r := mustOpen(t, o)
	p, _ := r.mustFence(t, 1, 9, 1)
	r.w.Append(p, 1, 1, 1, 0, 0, 1, nil)
	r.w.Expire(func(uint32, *ProducerKey, time.Duration) bool { return true })
	r.mustCommit(t)
	o.FS = fs.CrashClone(vfs.CrashCloneCfg{})
	r.mustClose(t)
	r = mustOpen(t, o)
	defer r.mustClose(t)
	if p2, wel := r.mustFence(t, 1, 1, 1); p2 == p || wel.Next != 1 {
		t.Errorf("producer %d again, next %d", p2, wel.Next)
	}
}

// A power cut behind the expiry of a producer that the checkpoint has, and that
// was heard of since: it stays forgotten beyond the next checkpoint.
func TestExpiryOfWhoWasHeardOfSince(t *testing.T) {
	fs := vfs.NewCrashableMem()
	o := small(fs)
	r := mustOpen(t, o)
	p, _ := r.mustFence(t, 1, 9, 1)
	r.mustCommit(t)
	r.mustClose(t) // with a checkpoint
	r = mustOpen(t, o)
	r.w.Append(p, 1, 1, 1, 0, 0, 1, nil)
	r.w.Expire(func(uint32, *ProducerKey, time.Duration) bool { return true })
	r.mustCommit(t)
	o.FS = fs.CrashClone(vfs.CrashCloneCfg{})
	r.mustClose(t)
	mustOpen(t, o).mustClose(t) // with another
	r = mustOpen(t, o)
	defer r.mustClose(t)
	if _, ok := r.Producer(p); ok {
		t.Error("an expired producer is known again")
	}
}

// model is the log as a plain slice.
type model struct {
	recs  []string // what a record must look like, by offset-1
	next  map[byte]uint64
	epoch map[byte]uint64
	text  map[string]string // "producer/seq" → content, "" for none
	pos   map[byte]string
	known map[byte]uint32
	agent map[string]uint32
}

func show(r *Record) string {
	return fmt.Sprintf("%v p%d s%d-%d a%d k%d c%d f%d %q", r.Kind, r.Producer, r.Seq, r.To(), r.Agent, r.Key, r.Class, r.Flags, r.Body())
}

// TestModel drives the log and a plain slice with the same steps.
func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		fs := newMem()
		o := small(fs)
		o.CacheBytes = rapid.SampledFrom([]int{1, 4 << 10, 1 << 20}).Draw(t, "cache")
		o.CheckpointBytes = rapid.SampledFrom([]int64{1, 2 << 10, 1 << 20}).Draw(t, "checkpoint")
		o.keptHot = rapid.SampledFrom([]int64{1, 2 << 10}).Draw(t, "kept")
		o.Seal = SealOptions{Off: rapid.Bool().Draw(t, "by hand"), Bytes: rapid.SampledFrom([]int64{1, 1 << 10, 1 << 20}).Draw(t, "stretch"),
			Tier: func(r *Record) uint8 { return uint8(r.Kind) % 3 }}
		r, err := open(o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Close() }() // rapid gives a run up where too many actions are skipped
		m := &model{next: map[byte]uint64{}, epoch: map[byte]uint64{}, text: map[string]string{}, pos: map[byte]string{}, known: map[byte]uint32{}, agent: map[string]uint32{}}
		add := func(x Record) { m.recs = append(m.recs, show(&x)) }
		producer := rapid.ByteRange(1, 3)
		fence := func(t *rapid.T, n byte) {
			epoch := m.epoch[n] + uint64(rapid.IntRange(0, 2).Draw(t, "epoch"))
			first := uint64(rapid.IntRange(0, 12).Draw(t, "first"))
			p, wel, err := r.w.Fence(key(n), epoch, first)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := m.known[n]; !ok {
				m.known[n], m.next[n] = p, 1
				add(Record{Kind: KindProducerDict, Producer: p, Payload: appendProducerKey(nil, &ProducerKey{Space: "main", Owner: "k1", ID: [16]byte{n}})})
			}
			fr := Record{Kind: KindFence, Producer: p, Seq: m.next[n]}
			fr.Payload = append(fr.Payload, byte(epoch), byte(epoch>>8), 0, 0, 0, 0, 0, 0, byte(first), 0, 0, 0, 0, 0, 0, 0)
			add(fr)
			m.epoch[n] = epoch
			if first > m.next[n] {
				m.recs = append(m.recs, fmt.Sprintf("lost p%d s%d-%d a0 k0 c0 f0 %q", p, m.next[n], first-1, "gap"))
				m.next[n] = first
			}
			if p != m.known[n] || wel.Next != m.next[n] || string(wel.Pos) != m.pos[n] {
				t.Fatalf("producer %d, welcome %+v, want next %d, pos %q", p, wel, m.next[n], m.pos[n])
			}
		}
		commit := func(t *rapid.T) {
			if err := r.commit(); err != nil {
				t.Fatal(err)
			}
		}
		check := func(t *rapid.T) {
			rs, err := r.readAll()
			if err != nil {
				t.Fatal(err)
			}
			if err := sound(rs); err != nil {
				t.Fatal(err)
			}
			if uint64(len(rs)) != r.Next()-1 || len(rs) > len(m.recs) {
				t.Fatalf("%d records, next %d, model %d", len(rs), r.Next(), len(m.recs))
			}
			for i := range rs {
				if got := show(&rs[i]); got != m.recs[i] {
					t.Fatalf("offset %d: %s, want %s", i+1, got, m.recs[i])
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"fence": func(t *rapid.T) { fence(t, producer.Draw(t, "producer")) },
			"events": func(t *rapid.T) {
				n := producer.Draw(t, "producer")
				if _, ok := m.known[n]; !ok {
					fence(t, n)
				}
				p := m.known[n]
				name := fmt.Sprintf("agent-%d", rapid.IntRange(0, 5).Draw(t, "agent"))
				a := r.w.Agent([]byte("main"), []byte(name))
				if want, ok := m.agent[name]; !ok {
					m.agent[name] = a
					add(Record{Kind: KindAgentDict, Agent: a, Payload: appendString(appendString(nil, "main"), name)})
				} else if a != want {
					t.Fatalf("agent %d, was %d", a, want)
				}
				for range rapid.IntRange(1, 60).Draw(t, "count") {
					seq := uint64(int64(m.next[n]) + int64(rapid.IntRange(-3, 1).Draw(t, "step")))
					if rapid.IntRange(0, 9).Draw(t, "mostly") > 0 {
						seq = m.next[n]
					}
					if seq == 0 {
						continue
					}
					text := fmt.Sprintf("%d%s", seq, rapid.SampledFrom([]string{"", "x"}).Draw(t, "text"))
					id := fmt.Sprintf("%d/%d", n, seq)
					want := Stored
					switch have, ok := m.text[id]; {
					case seq > m.next[n]:
						want = Gap
					case seq < m.next[n] && ok && have != text+name:
						want = Conflict
					case seq < m.next[n] && !ok:
						want = Spent
					case seq < m.next[n]:
						want = Duplicate
					}
					got := r.w.Append(p, seq, 1, 2, a, 3, 1, []byte(text))
					if got == Duplicate && (want == Conflict || want == Spent) && r.Sealed() > 1 {
						continue // content is compared as far as the blocks reach
					}
					if got != want {
						t.Fatalf("number %d: %v, want %v", seq, got, want)
					}
					if want == Stored {
						m.text[id] = text + name
						m.next[n]++
						add(Record{Kind: KindEvent, Producer: p, Seq: seq, Class: 1, Flags: 2, Agent: a, Key: 3, Payload: []byte(text)})
					}
				}
			},
			"settle": func(t *rapid.T) {
				n := producer.Draw(t, "producer")
				p, ok := m.known[n]
				if !ok {
					t.Skip("not seen yet")
				}
				from, to := m.next[n], m.next[n]+uint64(rapid.IntRange(0, 4).Draw(t, "more"))
				var v Verdict
				switch kind := rapid.SampledFrom([]Kind{KindRefused, KindShed, KindLost}).Draw(t, "kind"); kind {
				case KindRefused:
					to = from
					v = r.w.Refused(p, from, []byte("why"))
					m.recs = append(m.recs, fmt.Sprintf("refused p%d s%d-%d a0 k0 c0 f0 %q", p, from, to, "why"))
				case KindShed:
					v = r.w.Shed(p, from, to, 2, nil)
					m.recs = append(m.recs, fmt.Sprintf("shed p%d s%d-%d a0 k0 c2 f0 %q", p, from, to, ""))
				default:
					v = r.w.Lost(p, from, to, []byte("l"))
					m.recs = append(m.recs, fmt.Sprintf("lost p%d s%d-%d a0 k0 c0 f0 %q", p, from, to, "l"))
				}
				if v != Stored {
					t.Fatal(v)
				}
				m.next[n] = to + 1
			},
			"pos": func(t *rapid.T) {
				n := producer.Draw(t, "producer")
				p, ok := m.known[n]
				if !ok {
					t.Skip("not seen yet")
				}
				m.pos[n] = rapid.StringN(0, 9, -1).Draw(t, "pos")
				r.w.Pos(p, []byte(m.pos[n]))
				add(Record{Kind: KindPos, Producer: p, Payload: []byte(m.pos[n])})
			},
			"commit": commit,
			"seal": func(t *rapid.T) {
				if !o.Seal.Off {
					t.Skip("it does so itself")
				}
				if err := r.Seal(context.Background()); err != nil {
					t.Fatal(err)
				}
			},
			"find": func(t *rapid.T) {
				q := Query{Limit: rapid.IntRange(1, 40).Draw(t, "limit"), Reverse: rapid.Bool().Draw(t, "newest first"),
					FromOffset: rapid.Uint64Range(0, r.Next()).Draw(t, "from"), ToOffset: rapid.Uint64Range(0, r.Next()).Draw(t, "to"),
					Kinds: rapid.SampledFrom([]uint32{0, KindEvent.Mask(), KindFence.Mask() | KindShed.Mask()}).Draw(t, "kinds"),
					Key:   rapid.SampledFrom([]uint32{0, 0, 3, 4}).Draw(t, "key")}
				for range rapid.IntRange(0, 2).Draw(t, "agents") {
					q.Agents = append(q.Agents, rapid.Uint32Range(0, 6).Draw(t, "agent"))
				}
				checkFind(t, r, q)
			},
			"reopen": func(t *rapid.T) {
				sealed := r.Sealed()
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
				for len(r.done) > 0 {
					<-r.done
				}
				if r, err = open(o); err != nil {
					t.Fatal(err)
				}
				check(t)
				if r.Sealed() < sealed {
					t.Fatalf("%d was sealed, now %d", sealed, r.Sealed())
				}
				if r.Next() != uint64(len(m.recs))+1 {
					t.Fatalf("next %d, model %d", r.Next(), len(m.recs))
				}
			},
			"": check,
		})
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
