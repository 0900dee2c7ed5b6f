package capacity

import (
	"encoding/json"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestReferenceSaysWhereEachValueIsFrom holds that every value of the built-in
// costs has a source, and every source a value.
func TestReferenceSaysWhereEachValueIsFrom(t *testing.T) {
	c := Reference()
	if c.By == "" || c.At.IsZero() || c.Says == "" || c.Machine.Cores <= 0 || c.Machine.CPU == "" || c.Machine.Memory == 0 {
		t.Errorf("it does not say where and when it was measured: %+v", c)
	}
	v := reflect.ValueOf(*c)
	known := map[string]bool{}
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		switch name {
		case "at", "by", "says", "machine", "sources":
			continue
		}
		known[name] = true
		if s, ok := c.Sources[name]; ok == v.Field(i).IsZero() || ok && (s.By == "" || s.Says == "") {
			t.Errorf("%s is %v, its source %+v", name, v.Field(i), s)
		}
		if v.Field(i).CanFloat() && (v.Field(i).Float() < 0 || math.IsNaN(v.Field(i).Float())) {
			t.Errorf("%s is %v", name, v.Field(i))
		}
	}
	for name := range c.Sources {
		if !known[name] {
			t.Errorf("a source of %s, which is no value", name)
		}
	}
	if c.CoresUsable > 1 {
		t.Errorf("%v of the cores", c.CoresUsable)
	}
}

// TestReferenceAgreesWithWhatWasSustained holds that the model gives back the
// rates it was made from, on the machine that they were measured on: without the
// headroom, and with the client that was beside.
func TestReferenceAgreesWithWhatWasSustained(t *testing.T) {
	c := Reference()
	for _, s := range c.Sustained {
		a := Plan(c, Load{Agents: 1, Connections: 1, Events: 1, Frame: float64(s.Frame)}, Host{Cores: float64(c.Machine.Cores)}, 0)
		if got := a.Max / CPUShare; got < s.Events*0.9 || got > s.Events*1.25 {
			t.Errorf("frames of %d: the model says %.0f events/s, measured were %.0f", s.Frame, got, s.Events)
		}
	}
}

// TestReferenceIsOfTheRecordedRun holds each value that names the recorded run as its source
// to that run. What a lone frame costs is from elsewhere, and taken off an event's accordingly.
func TestReferenceIsOfTheRecordedRun(t *testing.T) {
	f, err := os.Open("../../bench/results/capacity.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	run, err := ReadReport(f)
	if err != nil {
		t.Fatal(err)
	}
	c := Reference()
	if len(c.Sustained) != 1 || len(run.Sustained) != 1 || !c.At.Equal(run.At) {
		t.Fatalf("of %v with %v; the run is of %v with %v", c.At, c.Sustained, run.At, run.Sustained)
	}
	run.CPUEvent += (run.CPUFrame - c.CPUFrame) / float64(run.Sustained[0].Frame)
	held := 0
	near := func(name string, got, want float64) {
		if held++; math.Abs(got-want) > want/1000 {
			t.Errorf("%s is %v, in the run %v", name, got, want)
		}
	}
	got, want := reflect.ValueOf(*c), reflect.ValueOf(*run)
	for i := range got.NumField() {
		name, _, _ := strings.Cut(got.Type().Field(i).Tag.Get("json"), ",")
		if got.Field(i).CanFloat() && strings.HasPrefix(c.Sources[name].Says, "bench/results/capacity.json") {
			near(name, got.Field(i).Float(), want.Field(i).Float())
		}
	}
	near("sustained", c.Sustained[0].Events, run.Sustained[0].Events)
	near("connections", float64(c.Connections), float64(run.Connections))
	if held < 20 {
		t.Errorf("%d values are of the run", held)
	}
}

func TestReadReport(t *testing.T) {
	c := costs()
	whole, err := json.Marshal(map[string]any{"part": "all", "figures": []int{}, "costs": c})
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadReport(strings.NewReader(string(whole)))
	if err != nil || !reflect.DeepEqual(got, c) {
		t.Errorf("%+v, %v", got, err)
	}
	for in, want := range map[string]string{
		`{"part":"ingest"}`:                 "the report of eyrie bench ingest has no costs",
		`{}`:                                "not a JSON report",
		`x`:                                 "not a JSON report",
		`{"costs":{"cpu_event_us":"many"}}`: "not a JSON report",
	} {
		if _, err := ReadReport(strings.NewReader(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", in, err)
		}
	}
}
