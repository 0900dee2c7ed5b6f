package claudecode

import (
	"os"
	"strings"
	"testing"

	"eyrie/appliance/sources"
	"eyrie/engine/wire"
)

// FuzzTranscriptLine: whatever a line holds, the fold neither panics nor says what the server would refuse, and the
// same lines say the same again.
func FuzzTranscriptLine(f *testing.F) {
	for _, p := range []string{"testdata/nested/-home-ana-shop/" + sid + ".jsonl", "testdata/nested/-home-ana-shop/" + sid + "/subagents/agent-a1a1a1a.jsonl"} {
		b, err := os.ReadFile(p)
		if err != nil {
			f.Fatal(err)
		}
		for l := range strings.Lines(string(b)) {
			f.Add([]byte(l), true)
		}
	}
	f.Add([]byte(`{"type":"assistant","sessionId":"s","message":{"id":"m","content":[{"type":"tool_use","id":"t","name":"Task","input":{"prompt":"p"}}],"usage":{"input_tokens":-5}}}{"type":"user"`), false)
	f.Add([]byte("\xff{\"type\":\"user\",\"sessionId\":\"\xff\xfe\",\"uuid\":\"\\ud800\"}"), true)
	f.Fuzz(func(t *testing.T, line []byte, full bool) {
		run := func() []string {
			o := Options{Host: "h"}
			if !full {
				o.Content = sources.ContentMeta
			}
			fold := New(o)
			src := &Source{}
			var evs []wire.Event
			for _, l := range [][]byte{[]byte(`{"type":"user","sessionId":"s","uuid":"u","message":{"content":"do it"}}`), line, line} {
				for _, x := range fold.Line(src, l) {
					if x.Offset < 0 || x.Offset > len(l) || x.Code == "" {
						t.Fatalf("fault %+v of a line of %d bytes", x, len(l))
					}
					fold.Fault(src, "f", 1, int64(x.Offset), x)
				}
				evs = append(evs, fold.Events()...)
			}
			fold.Settle(src)
			evs = append(evs, fold.Events()...)
			out := make([]string, len(evs))
			for i := range evs {
				if err := evs[i].Check(); err != nil {
					t.Fatalf("refused: %v: %s", err, evs[i].AppendJSON(nil))
				}
				out[i] = string(evs[i].AppendMsgpack(nil))
			}
			return out
		}
		a, b := run(), run()
		if strings.Join(a, "") != strings.Join(b, "") {
			t.Fatal("the same lines said something else")
		}
	})
}
