package claudecode

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/google/uuid"

	"eyrie/appliance/sources"
	"eyrie/appliance/sources/tailfile"
	"eyrie/engine/wire"
)

// FollowOptions of Follow. Only Root is needed.
type FollowOptions struct {
	Root    string // folder or file; transcripts are its *.jsonl, at any depth
	Host    string // see Options
	Content sources.Content
	Once    bool // end after the history

	Rescan time.Duration    // how often the tree is walked although nothing was reported; 0 = 2 s
	Poll   bool             // do without notifications of the file system
	Quiet  time.Duration    // after this long without a new line, what was said last counts as complete; 0 = 30 s
	Now    func() time.Time // for Quiet; nil = time.Now

	Report func(Report) // what could not be read; nil = not told (broken lines are events all the same)
	Caught func(Stats)  // called once, when the history is sent; nil = not told
}

// Report names what could not be read.
type Report struct {
	File   string // relative to the root
	Line   int    // from 1; 0 = the file itself
	Offset int64  // of the fault, in bytes from the beginning of the file
	Code   string // "two_objects", "syntax", "type", "too_long", "incomplete", "file"
	Msg    string
	Kept   int // objects of the line that were read all the same
}

// String says it in one line.
func (r Report) String() string {
	if r.Line == 0 {
		return fmt.Sprintf("%s: %s", r.File, r.Msg)
	}
	return fmt.Sprintf("%s:%d: byte %d: %s (%s, objects kept: %d)", r.File, r.Line, r.Offset, r.Msg, r.Code, r.Kept)
}

// Stats count what Follow did.
type Stats struct {
	Files    int            // followed
	Lines    int            // read for the first time
	Replayed int            // read again to know the state
	Events   int            // sent
	Reports  int            // what could not be read
	Ignored  map[string]int // records that say nothing eyrie shows, by type
}

// ProducerOf is the producer of a followed root: the same for every way to name the root, on every start. Two
// roots have two producers, so that following one does not fence the other.
func ProducerOf(host, root string) (uuid.UUID, error) {
	root, err := tailfile.Resolve(root)
	if err != nil {
		return uuid.UUID{}, err
	}
	return sources.Producer("claude-code", host, root), nil
}

// posBytesMax keeps positions small: they are stored with every frame.
const posBytesMax = wire.MaxPos / 2

// splitEvents go in one frame when a line says more than a frame holds: their text is bounded by line.
const splitEvents = 64

// Follow sends the history of the transcripts below o.Root and then, unless o.Once, what is written to them,
// until ctx ends (nil) or the sink fails. It starts where the position that the server gives back ends: the
// lines before it are read again for the state they leave, and nothing of them is sent.
func Follow(ctx context.Context, sink sources.Sink, o FollowOptions) (Stats, error) {
	if o.Quiet == 0 {
		o.Quiet = 30 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	f := &follower{o: o, sink: sink, fold: New(Options{Host: o.Host, Content: o.Content}), grown: map[*tailfile.File]time.Time{}}
	tree, err := tailfile.Open(o.Root, tailfile.Options{
		Match:  func(p string) bool { return path.Ext(p) == ".jsonl" },
		Rescan: o.Rescan, Poll: o.Poll,
		Report: func(p string, err error) { f.report(Report{File: p, Code: "file", Msg: err.Error()}) },
	})
	if err != nil {
		return f.stats, err
	}
	defer tree.Close()
	f.tree = tree
	err = f.run(ctx)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) && !o.Once {
		err = nil
	}
	f.stats.Files, f.stats.Ignored = len(tree.Files()), f.fold.Ignored()
	return f.stats, err
}

// follower is one Follow under way. One goroutine.
type follower struct {
	o     FollowOptions
	sink  sources.Sink
	fold  *Fold
	tree  *tailfile.Tree
	stats Stats
	grown map[*tailfile.File]time.Time // files that are not settled, and when they last grew

	batch   []wire.Event
	bytes   int
	scratch []byte
}

func (f *follower) run(ctx context.Context) error {
	pos, err := f.sink.Welcome(ctx)
	if err != nil {
		return err
	}
	marks, err := tailfile.ParseMarks(pos)
	if err != nil {
		return fmt.Errorf("the server's position for this root was written by another version: %w", err)
	}
	f.tree.Restore(marks)
	if _, err := f.tree.Scan(); err != nil {
		return err
	}
	err = f.tree.Replay(f.again, func(file *tailfile.File) {
		f.settledBefore(file, file.Offset)
		f.grown[file] = f.o.Now()
	})
	if err != nil {
		return err
	}
	if err := f.drain(ctx); err != nil {
		return err
	}
	if f.o.Once {
		if err := f.settle(ctx, time.Time{}); err != nil {
			return err
		}
	}
	if err := f.sink.Flush(ctx); err != nil {
		return err
	}
	if f.o.Caught != nil {
		f.stats.Files, f.stats.Ignored = len(f.tree.Files()), f.fold.Ignored()
		f.o.Caught(f.stats)
	}
	for !f.o.Once {
		if err := f.tree.Wait(ctx, nil); err != nil {
			return err
		}
		if err := f.drain(ctx); err != nil {
			return err
		}
		if err := f.settle(ctx, f.o.Now().Add(-f.o.Quiet)); err != nil {
			return err
		}
	}
	return nil
}

// drain reads and sends everything that is there.
func (f *follower) drain(ctx context.Context) error {
	files, err := f.tree.Scan()
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := f.read(ctx, file, false); err != nil {
			return err
		}
		f.grown[file] = f.o.Now()
	}
	return f.send(ctx, true)
}

func (f *follower) read(ctx context.Context, file *tailfile.File, final bool) error {
	return f.tree.Read(file, final, func(l tailfile.Line) error {
		if l.Partial && !json.Valid(bytes.TrimSpace(l.Data)) {
			return tailfile.ErrIncomplete
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		return f.line(ctx, l)
	})
}

// settle takes what files say that did not grow since before, as complete.
func (f *follower) settle(ctx context.Context, before time.Time) error {
	files := slices.SortedFunc(maps.Keys(f.grown), func(a, b *tailfile.File) int { return cmp.Compare(a.Path, b.Path) })
	for _, file := range files {
		if !before.IsZero() && f.grown[file].After(before) {
			continue
		}
		delete(f.grown, file)
		if file.Partial() {
			if err := f.read(ctx, file, true); err != nil {
				return err
			}
			if file.Partial() {
				f.report(Report{File: file.Path, Line: file.Lines + 1, Offset: file.Offset, Code: "incomplete", Msg: "the last line is not complete"})
			}
		}
		f.fold.Settle(sourceOf(file))
		if evs := f.fold.Events(); len(evs) > 0 {
			if err := f.add(ctx, evs); err != nil {
				return err
			}
			file.Settled = file.Offset
		}
	}
	return f.send(ctx, true)
}

// again folds a line that a run before this one sent.
func (f *follower) again(l tailfile.Line) error {
	f.stats.Replayed++
	f.settledBefore(l.File, l.Offset)
	if l.Cut == 0 {
		f.fold.Line(sourceOf(l.File), l.Data)
		f.fold.Events()
	}
	return nil
}

// settledBefore does to the fold what settle did in a run before this one, when the reading comes to that place.
func (f *follower) settledBefore(file *tailfile.File, offset int64) {
	src := sourceOf(file)
	if file.Settled > 0 && offset >= file.Settled && !src.settled {
		src.settled = true
		f.fold.Settle(src)
		f.fold.Events()
	}
}

func (f *follower) line(ctx context.Context, l tailfile.Line) error {
	f.stats.Lines++
	src := sourceOf(l.File)
	var faults []Fault
	if l.Cut > 0 {
		faults = []Fault{{Code: "too_long", Msg: fmt.Sprintf("the line has %d bytes", int64(len(l.Data))+l.Cut)}}
	} else {
		faults = f.fold.Line(src, l.Data)
	}
	for _, x := range faults {
		r := Report{File: l.File.Path, Line: l.No, Offset: l.Offset + int64(x.Offset), Code: x.Code, Msg: x.Msg, Kept: x.Kept}
		f.report(r)
		f.fold.Fault(src, r.File, r.Line, r.Offset, x)
	}
	return f.add(ctx, f.fold.Events())
}

// add puts the events of one line into the frame in hand. They stay in one frame, so that the position that
// goes with it is that of a whole line; only a line that fills more than a frame is split.
func (f *follower) add(ctx context.Context, evs []wire.Event) error {
	size := 0
	for i := range evs {
		f.scratch = evs[i].AppendMsgpack(f.scratch[:0])
		if len(f.scratch) > wire.MaxEvent {
			evs[i].Input, evs[i].Output = nil, nil
			setAttr(&evs[i], "dropped_bytes", len(f.scratch))
		}
		size += len(f.scratch)
	}
	if len(f.batch) > 0 && (len(f.batch)+len(evs) > sources.FrameEvents || f.bytes+size > sources.FrameBytes) {
		if err := f.send(ctx, true); err != nil {
			return err
		}
	}
	if len(evs) > sources.FrameEvents || size > sources.FrameBytes {
		for len(evs) > splitEvents {
			f.batch = append(f.batch, evs[:splitEvents]...)
			evs = evs[splitEvents:]
			if err := f.send(ctx, false); err != nil {
				return err
			}
		}
	}
	f.batch, f.bytes = append(f.batch, evs...), f.bytes+size
	return nil
}

// send sends the frame in hand; whole says that it ends where a line ends.
func (f *follower) send(ctx context.Context, whole bool) error {
	if len(f.batch) == 0 {
		return nil
	}
	var pos []byte
	if whole {
		pos = f.tree.Marks().Append(nil, posBytesMax)
	}
	if err := f.sink.Send(ctx, f.batch, pos); err != nil {
		return err
	}
	f.stats.Events += len(f.batch)
	f.batch, f.bytes = f.batch[:0], 0
	return nil
}

func (f *follower) report(r Report) {
	f.stats.Reports++
	if f.o.Report != nil {
		f.o.Report(r)
	}
}

func sourceOf(file *tailfile.File) *Source {
	src, _ := file.User.(*Source)
	if src == nil {
		src = &Source{}
		file.User = src
	}
	return src
}
