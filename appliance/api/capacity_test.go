//go:build linux

package api_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"eyrie/appliance/api"
	"eyrie/appliance/capacity"
)

type capacityAnswer struct {
	api.Capacity
	Of     string
	Today  capacity.Load
	Times  float64
	Answer capacity.Answer
}

func TestCapacity(t *testing.T) {
	r := newRig(t)
	var b strings.Builder
	for i := range 200 {
		fmt.Fprintf(&b, `{"agent":"a-%d","type":"metrics","name":"host","metrics":{"cpu":%d}}`+"\n", i%10, i)
	}
	if p, a := r.post(r.keys["agent"], b.String()); p.Stored != 200 {
		t.Fatalf("%s", a.body)
	}
	var c capacityAnswer
	r.get("/v1/capacity?agents=1000&rate=2&metrics=10&frame=10&days=10&price=50", &c)
	if c.Host.Cores < 1 || c.Host.Memory < 1<<20 || c.Host.Descriptors < 100 || c.Host.Disk <= 0 || c.Host.DiskFree > c.Host.Disk || c.Host.DiskUsed <= 0 || c.Open < 10 {
		t.Errorf("host %+v, %d open", c.Host, c.Open)
	}
	if c.Costs.By != capacity.Recorded || c.Measured.InForce || c.Measured.Confidence != "none" || c.Measured.Says == "" {
		t.Errorf("%+v, %+v", c.Costs, c.Measured)
	}
	want := capacity.Plan(c.Costs, capacity.Load{Agents: 1000, Events: 2, Samples: 10, Frame: 10, Days: 10}, c.Host, 50)
	if !slices.Equal(c.Answer.Limits, want.Limits) || c.Answer.Max != want.Max || *c.Answer.Price != *want.Price {
		t.Errorf("got %+v\nwant %+v", c.Answer, want)
	}
	// On another host, and ten times that: this one's disk may be too full for any.
	const elsewhere = "/v1/capacity?agents=1000&rate=2&metrics=10&frame=10&days=10&cores=2&memory_gib=64&disk_gb=100000&descriptors=100000"
	var once, ten, other capacityAnswer
	r.get(elsewhere, &once)
	r.get(elsewhere+"&times=10", &ten)
	if d := ten.Answer.Load.Agents - 10_000; d != 0 || ten.Times != 10 || once.Answer.Max <= 0 || math.Abs(10*ten.Answer.Max/once.Answer.Max-1) > 1e-9 {
		t.Errorf("%+v: %v times, once that %v times", ten.Answer.Load, ten.Answer.Max, once.Answer.Max)
	}
	r.get("/v1/capacity?agents=1000&rate=2&days=10&cores=16&memory_gib=64&disk_gb=1000&descriptors=5000", &other)
	if h := other.Answer.Host; h.Cores != 16 || h.Memory != 64<<30 || h.Disk != 1e12 || h.DiskFree != 1e12 || h.DiskUsed != 0 || h.Descriptors != 5000 || other.Host.Cores != c.Host.Cores {
		t.Errorf("%+v, %+v", h, other.Host)
	}
}

func TestCapacityRefuses(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct{ query, field string }{
		{"times=-1", "times"}, {"times=NaN", "times"}, {"agents=many", "agents"}, {"rate=1e300", "rate"}, {"of=ever", "of"}, {"cores=0x", "cores"}, {"days=Inf", "days"},
	} {
		if err := r.ask("GET", "/v1/capacity?"+c.query, r.keys["viewer"], "").problem(400, "bad_parameter", c.field); err != nil {
			t.Errorf("%s: %v", c.query, err)
		}
	}
	// What is next to nothing has an answer, too, of numbers that JSON has.
	for _, query := range []string{"", "agents=1&rate=1e-320&days=1e-320&price=1", "agents=1e-320&rate=1", "agents=1&rate=1&descriptors=1e-320&price=1e12", "times=1e-320"} {
		if a := r.ask("GET", "/v1/capacity?"+query, r.keys["viewer"], ""); a.StatusCode != 200 {
			t.Errorf("%s: %d %s", query, a.StatusCode, a.body)
		}
	}
	if a := r.ask("GET", "/v1/capacity", r.keys["viewer"], ""); a.StatusCode != 200 {
		t.Errorf("a viewer: %d %s", a.StatusCode, a.body)
	}
	if a := r.ask("GET", "/v1/capacity", r.keys["agent"], ""); a.StatusCode != 403 {
		t.Errorf("an agent: %d %s", a.StatusCode, a.body)
	}
}
