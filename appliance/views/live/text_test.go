package live

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"eyrie/appliance/query"
	"eyrie/engine/wire"
	"eyrie/wal"

	"pgregory.net/rapid"
)

// collect adds every text, name below the top level and number of a JSON value.
func collect(x any, texts, numbers *[]string) {
	switch x := x.(type) {
	case string:
		*texts = append(*texts, x)
	case json.Number:
		*numbers = append(*numbers, x.String())
	case []any:
		for _, y := range x {
			collect(y, texts, numbers)
		}
	case map[string]any:
		for k, y := range x {
			*texts = append(*texts, k)
			collect(y, texts, numbers)
		}
	}
}

func drawValue(t *rapid.T, depth int) any {
	switch k := rapid.IntRange(0, 7).Draw(t, "kind"); {
	case k < 3 || depth > 3 && k > 5:
		return rapid.StringN(0, 8, 12).Draw(t, "text")
	case k == 3:
		return rapid.Int64().Draw(t, "int")
	case k == 4:
		return rapid.Float64Range(-1e6, 1e6).Draw(t, "float")
	case k == 5:
		return rapid.Bool().Draw(t, "bool")
	case k == 6:
		var list []any
		for range rapid.IntRange(0, 3).Draw(t, "items") {
			list = append(list, drawValue(t, depth+1))
		}
		return list
	}
	m := map[string]any{}
	for range rapid.IntRange(0, 3).Draw(t, "pairs") {
		m[rapid.StringMatching(`[a-z]{1,4}(\.[a-z]{1,3})?`).Draw(t, "key")] = drawValue(t, depth+1)
	}
	return m
}

func drawEvent(t *rapid.T) wal.Record {
	e := wire.Event{
		Type: wire.TypeTool, TS: 1_700_000_000e9, Name: rapid.StringN(0, 6, 12).Draw(t, "name"), Span: "s-1", Status: wire.StatusError,
		Attrs: map[string]any{"a": drawValue(t, 0), "b.c": drawValue(t, 0)}, Labels: map[string]string{"team": rapid.StringN(0, 6, 12).Draw(t, "label")},
	}
	if rapid.Bool().Draw(t, "input") {
		e.Input, e.Output = drawValue(t, 0), drawValue(t, 0)
	}
	payload := e.AppendMsgpack(nil)
	h, err := wire.CheckPayload(payload)
	if err != nil {
		t.Skip(err)
	}
	return wal.Record{Offset: 7, Recv: 1_700_000_001e9, Kind: wal.KindEvent, Class: uint8(h.Type), Flags: h.Flags(), Agent: 1, Payload: payload}
}

// Texts and numbers of an event are those of the JSON that is shown of it, and
// what is there is found: as a word, and by its path.
func TestTextsAreWhatIsShown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rec := drawEvent(t)
		shown := AppendEventJSON(nil, &rec, func(uint32) (string, string, bool) { return "main", "agent-1", true })
		var m map[string]any
		dec := json.NewDecoder(strings.NewReader(string(shown)))
		dec.UseNumber()
		if err := dec.Decode(&m); err != nil {
			t.Fatalf("%s: %v", shown, err)
		}
		texts, numbers := []string{"agent-1"}, []string(nil)
		for k, x := range m {
			if !envelope([]byte(k)) && k != "ts_ns" { // which is shown as a text, and stored as a number
				collect(x, &texts, &numbers)
			}
		}
		var w wire.View
		if err := w.Reset(rec.Payload); err != nil {
			t.Fatal(err)
		}
		row := NewEventRow(&rec, &w, "main", "agent-1")
		var got, digits []string
		row.Texts(func(s string) bool { got = append(got, strings.Clone(s)); return false })
		row.(query.Numbered).Numbers(func(s string) bool { digits = append(digits, strings.Clone(s)); return false })
		slices.Sort(texts)
		slices.Sort(got)
		if !slices.Equal(texts, got) {
			t.Fatalf("%s: texts %q, shown %q", shown, got, texts)
		}
		for _, n := range numbers {
			if !slices.Contains(digits, n) {
				t.Fatalf("%s: the number %s is not among %q", shown, n, digits)
			}
		}
		find := func(q string) bool {
			t.Helper()
			p, err := query.Parse(q)
			if err != nil {
				return true // a text that makes no query
			}
			if words := p.Words(RawField); p.Match(row) && !words.InEither(rec.Payload, "agent-1") {
				t.Fatalf("%s matches, and its words are not in the payload", q)
			}
			return p.Match(row)
		}
		for _, s := range got {
			if strings.ContainsAny(s, "\"\\") || s == "" {
				continue
			}
			if !find(fmt.Sprintf("%q", s)) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Fatalf("%q is not found", s)
			}
		}
		for _, n := range numbers {
			if !find(`"` + n + `"`) {
				t.Fatalf("the number %s is not found in %s", n, shown)
			}
		}
	})
}

func TestFieldPaths(t *testing.T) {
	e := wire.Event{
		Type: wire.TypeTool, TS: 1_700_000_000e9, Name: "Bash", Span: "s", To: []string{"w-1", "w-2"},
		Input:  map[string]any{"command": "npm test", "files": []any{"a.go", map[string]any{"path": "b.go"}}, "deep": map[string]any{"x.y": 5, "On": true}},
		Attrs:  map[string]any{"http.status": 500, "http": map[string]any{"method": "GET"}},
		Labels: map[string]string{"team": "red"}, Usage: &wire.Usage{Output: 1500, Model: []byte("opus")},
		Error: &wire.Error{Code: "timeout", Msg: "no answer"},
	}
	payload := e.AppendMsgpack(nil)
	h, err := wire.CheckPayload(payload)
	if err != nil {
		t.Fatal(err)
	}
	rec := wal.Record{Offset: 7, Recv: 1_700_000_001e9, Kind: wal.KindEvent, Class: uint8(h.Type), Flags: h.Flags(), Payload: payload}
	var w wire.View
	if err := w.Reset(payload); err != nil {
		t.Fatal(err)
	}
	for q, want := range map[string]bool{
		"input.command:*NPM*": true, "input.command:npm": false, "Input.Command:*": true, "input.files:a.go": true, "input.files.0:a.go": true, "input.files.1.path:b.go": true,
		"input.files.2:*": false, "input.deep.x.y:5": true, "input.deep.x.y:>5": false, "input.deep.on:true": true, "attrs.http.status:500": true, "http.status:>=500": true,
		"attrs.http.method:get": true, "http.method:GET": true, "labels.team:red": true, "team:red": true, "usage.output_tokens:>1k": true, "usage.model:opus": true, "model:opus": true,
		"error.code:timeout": true, "error:*answer": true, "to:w-2": true, "to:w-3": false, "type:tool": true, "type:log": false, "nothing.of.it:*": false, "npm": true, "GET": true, "x.y": true, "500": true, "50": false,
	} {
		p, err := query.Parse(q)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Match(NewEventRow(&rec, &w, "main", "a")); got != want {
			t.Errorf("%s: %v", q, got)
		}
	}
}
