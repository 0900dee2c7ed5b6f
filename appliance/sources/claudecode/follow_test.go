package claudecode

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"eyrie/engine/wire"
)

func sample(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile("testdata/live/-home-ana-shop/" + sid + ".jsonl")
	if err != nil {
		t.Fatal(err)
	}
	return slices.Collect(strings.Lines(string(b)))
}

func write(t *testing.T, path string, parts ...string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Join(parts, "")), 0o644); err != nil {
		t.Fatal(err)
	}
}

func appendTo(t *testing.T, path string, parts ...string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(strings.Join(parts, "")); err != nil {
		t.Fatal(err)
	}
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// lastResult ends the open call of the sample.
const lastResult = `{"type":"user","sessionId":"` + sid + `","uuid":"u-last","timestamp":"2026-03-01T10:03:00.000Z","message":{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_10","content":"deployed"}]}}` + "\n"

func nothing(t *testing.T, s *store, root, when string) {
	t.Helper()
	if added, _ := once(t, s, root); len(added) > 0 {
		t.Errorf("%s: %d events added, the first: %s", when, len(added), added[0].AppendJSON(nil))
	}
}

func onlyLastResult(t *testing.T, s *store, root, when string) {
	t.Helper()
	added, _ := once(t, s, root)
	if len(added) != 1 || added[0].Span != "toolu_10" || added[0].Phase != wire.PhaseEnd || added[0].Status != wire.StatusOK {
		t.Errorf("%s: got %v, want the end of toolu_10", when, lines(added))
	}
}

func TestTwiceAddsNothingAndOneRecordAddsWhatItSays(t *testing.T) {
	for _, layout := range []string{"checkpoint/0a/0a0a0a1111/0/full.jsonl", "live/-home-ana-shop/" + sid + ".jsonl", "nested/-home-ana-shop/" + sid + ".jsonl"} {
		name, _, _ := strings.Cut(layout, "/")
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			copyTree(t, "testdata/"+name, filepath.Join(root, name))
			s := &store{}
			once(t, s, root)
			nothing(t, s, root, "second run")
			appendTo(t, filepath.Join(root, layout), lastResult)
			onlyLastResult(t, s, root, "one more record")
			nothing(t, s, root, "run after that")
			if len(s.pos) > 200 {
				t.Errorf("position of at most four files has %d bytes", len(s.pos))
			}
		})
	}
}

func TestMovedCopiedRotatedTruncated(t *testing.T) {
	all := sample(t)
	other := strings.NewReplacer(sid, "other-session", "toolu_", "toolx_", "msg_", "msx_", `"u-`, `"x-`, "a1a1a1a", "d4d4d4d").Replace(strings.Join(all[:12], ""))
	start := func(t *testing.T) (*store, string, string) {
		root := t.TempDir()
		path := filepath.Join(root, "p", sid+".jsonl")
		write(t, path, all...)
		s := &store{}
		once(t, s, root)
		return s, root, path
	}
	t.Run("renamed", func(t *testing.T) {
		s, root, path := start(t)
		moved := filepath.Join(root, "elsewhere.jsonl")
		if err := os.Rename(path, moved); err != nil {
			t.Fatal(err)
		}
		nothing(t, s, root, "renamed")
		appendTo(t, moved, lastResult)
		onlyLastResult(t, s, root, "renamed and grown")
	})
	t.Run("renamed and grown between two runs", func(t *testing.T) {
		s, root, path := start(t)
		appendTo(t, path, lastResult)
		if err := os.Rename(path, filepath.Join(root, "elsewhere.jsonl")); err != nil {
			t.Fatal(err)
		}
		onlyLastResult(t, s, root, "renamed")
	})
	t.Run("copied", func(t *testing.T) {
		s, root, _ := start(t)
		write(t, filepath.Join(root, "copy.jsonl"), append(slices.Clone(all), lastResult)...)
		onlyLastResult(t, s, root, "a longer copy, as of a checkpoint")
	})
	t.Run("rotated", func(t *testing.T) {
		s, root, path := start(t)
		if err := os.Rename(path, path+".1.jsonl"); err != nil {
			t.Fatal(err)
		}
		write(t, path, other)
		added, _ := once(t, s, root)
		if got := tallyOf(added); got.agents["other-session"] != "main" || len(got.agents) != 1 || got.count["tool start"] != 3 {
			t.Errorf("rotated: %v %v", got.agents, got.count)
		}
		nothing(t, s, root, "after the rotation")
	})
	t.Run("truncated", func(t *testing.T) {
		s, root, path := start(t)
		write(t, path, other)
		added, _ := once(t, s, root)
		if got := tallyOf(added); got.agents["other-session"] != "main" || len(got.agents) != 1 || got.count["tool start"] != 3 {
			t.Errorf("truncated: %v %v", got.agents, got.count)
		}
		nothing(t, s, root, "after the truncation")
	})
	t.Run("rewritten by an editor", func(t *testing.T) {
		s, root, path := start(t)
		write(t, path+".tmp", append(slices.Clone(all), lastResult)...)
		if err := os.Rename(path+".tmp", path); err != nil {
			t.Fatal(err)
		}
		onlyLastResult(t, s, root, "replaced by a file that begins alike")
	})
	t.Run("appended to a last line without an end", func(t *testing.T) {
		root := t.TempDir()
		path := filepath.Join(root, "full.jsonl")
		write(t, path, strings.TrimSuffix(strings.Join(all, ""), "\n"))
		s := &store{}
		once(t, s, root)
		nothing(t, s, root, "second run")
		appendTo(t, path, lastResult)
		added, reports := once(t, s, root)
		if len(added) != 1 || added[0].Span != "toolu_10" || len(reports) != 0 {
			t.Errorf("got %v, %v, want the end of toolu_10", lines(added), reports)
		}
		nothing(t, s, root, "after that")
		appendTo(t, path, strings.ReplaceAll(all[2], "msg_1", "msg_new"))
		if added, reports := once(t, s, root); len(reports) != 0 || len(added) != 0 {
			t.Errorf("a record that is known by its uuid: %v, %v", lines(added), reports)
		}
	})
	t.Run("last line without an end", func(t *testing.T) {
		s, root, path := start(t)
		appendTo(t, path, strings.TrimSuffix(lastResult, "\n"))
		onlyLastResult(t, s, root, "whole record, no line end")
		nothing(t, s, root, "again")
		appendTo(t, path, "\n")
		nothing(t, s, root, "the line end came")
		appendTo(t, path, lastResult[:50])
		added, reports := once(t, s, root)
		if len(added) != 0 || len(reports) != 1 || reports[0].Code != "incomplete" || reports[0].Line != len(all)+2 {
			t.Errorf("half a record: %v %v", added, reports)
		}
	})
}

func TestBrokenLinesAreNamedAndTheRestIsKept(t *testing.T) {
	root := t.TempDir()
	all := sample(t)
	twice := strings.TrimSuffix(all[2], "\n") + all[3]                         // two objects on one line
	escape := strings.Replace(all[4], `"uuid"`, `"x":"\q","uuid"`, 1)          // a broken escape
	wrong := strings.Replace(all[7], `"version": "2.1.40"`, `"version": 7`, 1) // a field of the wrong type
	parts := slices.Concat(all[:2], []string{twice, escape, "\n", all[5], all[6], wrong, "not json at all\n"}, all[8:])
	write(t, filepath.Join(root, "s.jsonl"), parts...)
	s := &store{}
	added, reports := once(t, s, root)
	var got []string
	for _, r := range reports {
		got = append(got, fmt.Sprintf("%s:%d %s %d", r.File, r.Line, r.Code, r.Kept))
	}
	want := []string{"s.jsonl:3 two_objects 2", "s.jsonl:4 syntax 0", "s.jsonl:8 type 1", "s.jsonl:9 syntax 0"}
	if !slices.Equal(got, want) {
		t.Errorf("reports: got %q, want %q", got, want)
	}
	if at := int64(len(all[0]) + len(all[1]) + len(all[2]) - 1); len(reports) > 0 && reports[0].Offset != at {
		t.Errorf("the second object begins at byte %d of the file, got %d", at, reports[0].Offset)
	}
	ty := tallyOf(added)
	ty.want(t, map[string]int{"tool start": 13, "tool end": 12, "llm start": 12})
	warned := 0
	for _, e := range added {
		if e.Name == "transcript_fault" && e.Agent == sid && e.Severity == wire.SeverityWarn {
			warned++
		}
	}
	if warned != 4 {
		t.Errorf("faults as events: got %d, want 4", warned)
	}
	nothing(t, s, root, "again")
}

// TestCutAnywhere cuts the link at every frame in turn: whatever was committed, the next run adds the rest, once.
func TestCutAnywhere(t *testing.T) {
	root := t.TempDir()
	all := strings.Join(sample(t), "")
	const sessions = 12
	for i := range sessions {
		x := fmt.Sprintf("%02d", i)
		write(t, filepath.Join(root, x, "s.jsonl"), strings.NewReplacer(sid, "session-"+x, "toolu_", "toolu"+x+"_", "msg_", "msg"+x+"_", `"u-`, `"u`+x+`-`, `"p-`, `"p`+x+`-`).Replace(all))
	}
	whole := &store{}
	once(t, whole, root)
	want := lines(whole.all())
	if whole.frames < 3 {
		t.Fatalf("%d frames do not test anything", whole.frames)
	}
	for n := 1; n <= whole.frames; n++ {
		s := &store{failAt: n}
		_, err := Follow(context.Background(), s, FollowOptions{Root: root, Host: "nest", Once: true})
		if !errors.Is(err, errCut) {
			t.Fatalf("cut at frame %d: got %v", n, err)
		}
		once(t, s, root)
		if got := lines(s.all()); !slices.Equal(got, want) {
			t.Errorf("cut at frame %d: %d events, want %d", n, len(got), len(want))
		}
	}
}

// TestRecordByRecord runs anew after every record: the views must end as those of one run do.
func TestRecordByRecord(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "s.jsonl")
	s := &store{}
	for i, l := range sample(t) {
		if i == 0 {
			write(t, path, l)
		} else {
			appendTo(t, path, l)
		}
		once(t, s, root)
	}
	got := tallyOf(s.all())
	want := sampleCounts()
	for _, k := range []string{"llm end", "llm ok"} { // a message whose usage grew after the quiet ends twice
		delete(want, k)
	}
	got.want(t, want)
	if in, out, read, write := got.tokens(); in != 69 || out != 70 || read != 2572 || write != 50 {
		t.Errorf("tokens: %d %d %d %d", in, out, read, write)
	}
}

func TestLive(t *testing.T) {
	for _, poll := range []bool{false, true} {
		t.Run(fmt.Sprintf("poll=%v", poll), func(t *testing.T) {
			root := t.TempDir()
			all := sample(t)
			path := filepath.Join(root, "p", sid+".jsonl")
			write(t, path, all[:5]...)
			s := &store{arrived: make(chan struct{}, 1)}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			caught := make(chan struct{})
			done := make(chan error, 1)
			go func() {
				_, err := Follow(ctx, s, FollowOptions{Root: root, Host: "nest", Poll: poll, Rescan: 20 * time.Millisecond, Quiet: 50 * time.Millisecond, Caught: func(Stats) { close(caught) }})
				done <- err
			}()
			<-caught
			for _, l := range all[5:30] {
				appendTo(t, path, l)
			}
			moved := filepath.Join(root, "q", "moved.jsonl") // renamed while it is written
			if err := os.MkdirAll(filepath.Dir(moved), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(path, moved); err != nil {
				t.Fatal(err)
			}
			for _, l := range all[30:] {
				appendTo(t, moved, l[:20])
				appendTo(t, moved, l[20:])
			}
			write(t, filepath.Join(root, "new", "second.jsonl"), strings.NewReplacer(sid, "second", `"u-`, `"v-`, "toolu_", "toolv_", "msg_", "msv_").Replace(strings.Join(all[:4], "")))
			settled := func() bool {
				ty := tallyOf(s.all())
				return ty.count["tool start"] == 14 && ty.count["tool end"] == 12 && ty.count["llm start"] == 13 && len(ty.usage) == 13 && ty.agents["second"] == "main"
			}
			deadline := time.After(10 * time.Second)
			for !settled() {
				select {
				case <-s.arrived:
				case <-deadline:
					t.Fatalf("not all came: %v", tallyOf(s.all()).count)
				}
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			nothing(t, s, root, "after the live run")
		})
	}
}

func TestLongLinesFitTheFrame(t *testing.T) {
	root := t.TempDir()
	big := strings.Repeat("x\\u0001é", 700_000)
	var blocks []string
	for i := range 40 {
		blocks = append(blocks, fmt.Sprintf(`{"type":"tool_use","id":"big_%d","name":"Write","input":{"content":"%s","deep":%s1%s}}`, i, big[:9*15000], strings.Repeat(`{"a":`, 30), strings.Repeat("}", 30)))
	}
	line := func(id, content string) string {
		return `{"type":"assistant","sessionId":"s","uuid":"` + id + `","timestamp":"2026-03-01T10:00:00Z","message":{"id":"` + id + `","role":"assistant","model":"m","content":` + content + "}}\n"
	}
	write(t, filepath.Join(root, "s.jsonl"), line("m1", `[{"type":"text","text":"`+big+`"}]`), line("m2", "["+strings.Join(blocks, ",")+"]"))
	s := &store{}
	added, reports := once(t, s, root)
	if len(reports) > 0 {
		t.Error(reports)
	}
	size := 0
	for i := range added {
		n := len(added[i].AppendMsgpack(nil))
		size += n
		if n > wire.MaxEvent {
			t.Errorf("event of %d bytes", n)
		}
	}
	if got := tallyOf(added).count["tool start"]; got != 40 {
		t.Errorf("calls: got %d, want 40", got)
	}
	msg := find(t, added, "the long text", func(e *wire.Event) bool { return e.Type == wire.TypeMessage && e.Kind == "text" })
	if !strings.HasSuffix(msg.Msg, "bytes cut]") || len(msg.Msg) > textBytesMax+64 {
		t.Errorf("long text: %d bytes, ends with %q", len(msg.Msg), msg.Msg[len(msg.Msg)-40:])
	}
	if size > wire.MaxFrame {
		t.Errorf("%d bytes for two lines", size)
	}
}
