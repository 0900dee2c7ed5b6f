package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"eyrie/appliance/capacity"
)

func number(v float64) *float64 { return &v }

// A plan takes the costs of the report it is given, and the host that is named.
func TestPlanFromReport(t *testing.T) {
	costs := &capacity.Costs{
		By: capacity.Bench, Machine: capacity.Machine{Cores: 4, CPU: "x"}, CPUEvent: 10, CoresUsable: 0.5,
		MemoryBase: 1 << 30, MemoryConn: 1024, Descriptors: 100, DiskLogEvent: 10,
	}
	b, err := json.Marshal(map[string]any{"part": "all", "costs": costs})
	if err != nil {
		t.Fatal(err)
	}
	from := filepath.Join(t.TempDir(), "report.json")
	if err := os.WriteFile(from, b, 0o600); err != nil {
		t.Fatal(err)
	}
	c := planCmd{
		From: from, Data: t.TempDir(), Agents: number(1000), Rate: number(10), Days: number(10), Price: number(100),
		Cores: number(2), MemoryGiB: number(8), DiskGB: number(100), Descriptors: number(10_000),
	}
	a, got, err := c.plan(t.Context())
	if err != nil || got.By != capacity.Bench {
		t.Fatalf("%+v, %v", got, err)
	}
	// 0.1 of 2 × 0.5 × 0.7 cores; 86.4 of 85 GB.
	if n := a.Need(capacity.CPU); n.Value != 0.1 || n.Usable != 0.7 {
		t.Errorf("%+v", n)
	}
	if a.First != capacity.Disk || a.Bears() || a.Host.Memory != 8<<30 || a.Host.CPU != "" {
		t.Errorf("%s at %v on %+v", a.First, a.Max, a.Host)
	}
	var out strings.Builder
	if err := writePlan(&out, a, got, c.Price); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"1,000 agents on 1,000 connections: 10,000 events/s in frames of 1", "kept 10 days", "2 cores, 8 GiB memory, 10,000 descriptors, 100 GB disk",
		"0.1 cores", "14.3 % of 0.7 cores", "≥ 86.4 GB", "not measured: base, views", "This host bears it 7.00 times: 7,000 agents with 70,000 events/s. What ends it: CPU.",
		"fills by 8.64 GB a day: it holds 9.84 days, not 10", "100 a month: 0.1 a connection", "0.014 a connection", "a disk for 10 days is not in it", "at most 0.98 × this load", "70 % of the CPU", "from the 4 cores",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	// Where what does not grow is too much already, that is said.
	small := c
	small.MemoryGiB = number(0.01)
	if a, got, err = small.plan(t.Context()); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := writePlan(&out, a, got, nil); err != nil || !strings.Contains(out.String(), "bears none of it: memory is used up before the first agent") {
		t.Errorf("%v:\n%s", err, out.String())
	}
	// A hundredth of that is borne.
	c.Times = number(0.01)
	if a, _, err = c.plan(t.Context()); err != nil || !a.Bears() || a.Load.Agents != 10 {
		t.Errorf("%+v, %v", a, err)
	}
}

// Every flag of a figure is one of the API's parameters, by the same name.
func TestPlanFigures(t *testing.T) {
	var c planCmd
	k, err := newParser(&command{}, "u")
	if err != nil {
		t.Fatal(err)
	}
	flags := map[string]bool{}
	for _, n := range k.Model.Children {
		if n.Name == "plan" {
			for _, f := range n.Flags {
				flags[f.Name] = f.Value.Target.Kind().String() == "ptr"
			}
		}
	}
	for _, f := range c.figures() {
		if !flags[f.flag] || f.query != strings.ReplaceAll(f.flag, "-", "_") {
			t.Errorf("%+v", f)
		}
		delete(flags, f.flag)
	}
	for name, figure := range flags {
		if figure {
			t.Errorf("--%s is not sent to a server", name)
		}
	}
}

func TestAmount(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.00692: "0.0069", 0.5: "0.5", 1: "1", 1.234: "1.23", 12.34: "12.3", 250.4: "250", 65000: "65,000", 1234567.8: "1,234,568", 3e18: "3e+18", 1.5e-7: "1.5e-07",
	} {
		if got := amount(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}
