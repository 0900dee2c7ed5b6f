package workload

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"eyrie/engine/wire"
)

// Every workload that comes with eyrie can be read, says what it is, and can be
// made.
func TestShipped(t *testing.T) {
	names := ShippedNames()
	if strings.Join(names, " ") != "flagship fleet mixed overload recorded storm telemetry" {
		t.Errorf("there are %v", names)
	}
	for _, n := range names {
		w, err := Load(n)
		if err != nil {
			t.Errorf("%s: %v", n, err)
			continue
		}
		if w.Name != n || len(w.Says) < 20 {
			t.Errorf("%s: name %q, says %q", n, w.Name, w.Says)
		}
		if _, err := NewMaker(w.Shape); err != nil {
			t.Errorf("%s: %v", n, err)
		}
	}
	w, err := Load("flagship")
	if err != nil {
		t.Fatal(err)
	}
	if w.Shape.Agents != 65_000 || w.Shape.Connections != 1000 || w.Shape.Events != Telemetry || w.Shape.Metrics != 10 || w.Rate != 65_000 || w.Viewers != 200 || w.Duration != 30*time.Minute {
		t.Errorf("flagship: %+v", w)
	}
	if w, err = Load("recorded"); err != nil || w.Rate < 20*1000 || w.Rate > 20*10_000 {
		t.Errorf("5,000 agents at twenty times their pace make %v events/s, %v", w.Rate, err)
	}
}

func TestParse(t *testing.T) {
	w, err := Parse("a.yaml", []byte("name: mine\nagents: 1_000\nconnections: 10\nrate: 2.5e3\ncodec: json\nduration: 1m30s\nseed: 5\n"))
	if err != nil {
		t.Fatal(err)
	}
	if w.Shape.Seed != 5 || w.Shape.Agents != 1000 || w.Shape.Frame != 100 || w.Shape.Events != Fleet || w.Rate != 2500 || w.Codec != wire.JSON || w.Duration != 90*time.Second {
		t.Errorf("%+v", w)
	}
	const head = "name: x\nagents: 10\nconnections: 2\n"
	for _, c := range []struct{ text, want string }{
		{head + "agent: 4\n", "w.yaml:4: agent: there is no such key; there are agents, codec, connections,"},
		{"name: x\nagents: 0\nconnections: 2\n", "w.yaml:2: agents: got 0, want 1 to 10000000"},
		{head + "\n# why\nframe: 5000\n", "w.yaml:6: frame: got 5000, want 1 to 4096"},
		{head + "frame: 1.5\n", "w.yaml:4: frame: got 1.5, want a whole number"},
		{head + "frame: many\n", "w.yaml:4: frame: got many, want a number"},
		{head + "rate: -1\n", "w.yaml:4: rate: got -1, want 0 to 100000000"},
		{head + "rate: .nan\n", "w.yaml:4: rate: got .nan, want a number"},
		{head + "codec: xml\n", `w.yaml:4: codec: got "xml", want msgpack, json or proto`},
		{head + "events: logs\n", `w.yaml:4: events: got "logs", want fleet, telemetry or recorded`},
		{head + "metrics: 5\n", "w.yaml:4: metrics: only events: telemetry take it, not fleet"},
		{head + "events: telemetry\nmetrics: 65\n", "w.yaml:5: metrics: got 65, want 1 to 64"},
		{head + "speed: 5\n", "w.yaml:4: speed: only events: recorded take it, not fleet"},
		{head + "events: recorded\nspeed: 5\nrate: 10\n", "w.yaml:5: speed: rate stands in line 6; want one of them"},
		{"name: x\nagents: 10\nconnections: 200\nevents: recorded\n", "w.yaml:3: connections: got 200, want at most"},
		{head + "events: recorded\nrecordings: [nowhere.json]\n", "w.yaml:5: recordings: open nowhere.json:"},
		{head + "events: recorded\nrecordings: 7\n", "w.yaml:5: recordings: want a list of files"},
		{head + "duration: 10\n", `w.yaml:4: duration: got "10", want a time from 1s`},
		{head + "duration: 10ms\n", `w.yaml:4: duration: got "10ms", want a time from 1s`},
		{"agents: 10\nconnections: 2\n", "w.yaml: name: it is missing"},
		{"name: x\nagents: 10\n", "w.yaml: connections: it is missing"},
		{head + "agents: 11\n", "w.yaml: "},
		{"- a\n- b\n", "w.yaml:1: got sequence, want keys and values"},
		{"name: [x\n", "w.yaml: "},
		{"", "w.yaml: name: it is missing"},
	} {
		_, err := Parse("w.yaml", []byte(c.text))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%q:\ngot  %v\nwant %s", c.text, err, c.want)
		}
	}
}

func TestLoad(t *testing.T) {
	if _, err := Load("nothing"); err == nil || !strings.Contains(err.Error(), "flagship, fleet, mixed") {
		t.Errorf("%v", err)
	}
	b, _ := Shipped("fleet")
	path := filepath.Join(t.TempDir(), "mine.yaml")
	if err := os.WriteFile(path, []byte(strings.Replace(string(b), "agents: 65000", "agents: 7", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := Load(path)
	if err != nil || w.Shape.Agents != 7 || w.Shape.Connections != 1000 {
		t.Errorf("a copy that was changed: %+v, %v", w, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, n := range ShippedNames() {
		b, _ := Shipped(n)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := Parse("f.yaml", b)
		if err == nil {
			if err := w.Shape.Check(); err != nil {
				t.Errorf("%q was taken: %v", b, err)
			}
		} else if !strings.HasPrefix(err.Error(), "f.yaml:") {
			t.Errorf("%q: %v", b, err)
		}
	})
}

// Recordings lie where the file that names them says, whatever the working folder is.
func TestRecordingsBesideTheFile(t *testing.T) {
	_, err := Parse("some/where/w.yaml", []byte("name: w\nagents: 10\nconnections: 1\nevents: recorded\nrecordings: [nowhere.json]\n"))
	if want := "open " + filepath.Join("some", "where", "nowhere.json"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}
