package seriesbench

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("eyrie/bench/child.keep"))
}

const end = 1_700_003_700_000

func TestFile(t *testing.T) {
	d := TSBS(7, 3, 360, end)
	if len(d.Labels) != 30 || len(d.Values) != 30*360 || d.At(359) > end || (d.First-d.Step)%hourMs != 0 {
		t.Fatalf("%d series, %d values, from %d to %d", len(d.Labels), len(d.Values), d.First, d.At(359))
	}
	for _, v := range d.Values {
		if v < 0 || v > 100 || v != math.Floor(v) {
			t.Fatalf("a value of %v", v)
		}
	}
	if !reflect.DeepEqual(d, TSBS(7, 3, 360, end)) || reflect.DeepEqual(d.Values, TSBS(8, 3, 360, end).Values) {
		t.Error("the data does not follow from its seed")
	}
	path := filepath.Join(t.TempDir(), "d")
	if err := d.Write(path); err != nil {
		t.Fatal(err)
	}
	back, err := Read(path)
	if err != nil || !reflect.DeepEqual(back, d) {
		t.Fatalf("the data changed on its way: %v", err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range []int{0, 27, 28, len(b) - 1} {
		if err := os.WriteFile(path, b[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); !errors.Is(err, errFile) {
			t.Errorf("cut to %d bytes: %v", cut, err)
		}
	}
}

func TestNAB(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := NAB(dir, 2, end); err == nil {
		t.Error("an empty folder has series")
	}
	write("a.csv", "timestamp,value\n2014-01-01 00:00:00,1.5\n2014-01-01 00:05:00,2.5\n2014-01-01 00:10:00,9\n")
	write("b.csv", "timestamp,value\n2014-01-01 00:00:00,-3\n2014-01-01 00:05:00,4e-2\n")
	d, err := NAB(dir, 2, end)
	if err != nil {
		t.Fatal(err)
	}
	if want := []float64{1.5, 1.5, -3, -3, 2.5, 2.5, 0.04, 0.04}; !reflect.DeepEqual(d.Values, want) || d.Steps != 2 || len(d.Labels) != 4 {
		t.Errorf("%v of %v", d.Values, d.Labels)
	}
	for _, bad := range []string{"timestamp,value\nx,y\n", "timestamp\nx\n", "a,b\n\"x,1\n"} {
		write("c.csv", bad)
		if _, err := NAB(dir, 2, end); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

func TestStretches(t *testing.T) {
	ts, vs := []int64{10, 20, 60, 61, 120, 130, 300}, []float64{1, 5, 3, 2, 8, 4, 7}
	if got := Greatest(nil, ts, vs, 0, 60); !reflect.DeepEqual(got, []float64{5, 8, 4, 7}) {
		t.Errorf("greatest: %v", got)
	}
	if got := Means(nil, ts, vs, 0, 60); !reflect.DeepEqual(got, []float64{3, 5, 4, 7}) {
		t.Errorf("means: %v", got)
	}
}

// naive answers from the data itself.
func naive(d *Data, q Query, host int) (a Answer) {
	add := func(v float64) { a.Count, a.Sum = a.Count+1, a.Sum+v }
	for i := 0; i < len(d.Labels); i += len(Metrics) {
		switch q {
		case SingleGroupBy:
			for m := 0; m < 60 && i == host*len(Metrics); m++ {
				most := -1.0
				for s := range 6 {
					most = max(most, d.Row(d.Steps - 360 + m*6 + s)[i])
				}
				add(most)
			}
		case LastPoint:
			add(d.Row(d.Steps - 1)[i])
		case DoubleGroupBy:
			for h := range d.Steps / 360 {
				sum := 0.0
				for s := range 360 {
					sum += d.Row(h*360 + s)[i]
				}
				add(sum / 360)
			}
		}
	}
	return a
}

// A process of eyrie's store takes the samples in parts and answers as the data
// itself does, before and after they went to the disk and memory was looked at.
func TestServe(t *testing.T) {
	d, dir := TSBS(7, 4, 720, end), t.TempDir()
	file := filepath.Join(dir, "data")
	if err := d.Write(file); err != nil {
		t.Fatal(err)
	}
	in, orders := io.Pipe()
	answers, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := Serve(in, out, func() time.Duration { return 7 })
		out.Close()
		ended <- err
	}()
	dec := json.NewDecoder(answers)
	do := func(o order) (a answer) {
		t.Helper()
		if err := json.NewEncoder(orders).Encode(o); err != nil {
			t.Fatal(err)
		}
		if err := dec.Decode(&a); err != nil {
			t.Fatal(err)
		}
		return a
	}
	must := func(o order) answer {
		t.Helper()
		a := do(o)
		if a.Error != "" {
			t.Fatalf("%+v: %s", o, a.Error)
		}
		return a
	}
	if a := do(order{Do: "append"}); a.Error == "" {
		t.Error("what is not open takes samples")
	}
	must(order{Do: "open", Dir: filepath.Join(dir, "store"), Data: file})
	if a := do(order{Do: "append", To: 721}); a.Error == "" {
		t.Error("more steps are taken than there are")
	}
	for from := 0; from < 720; from += 240 {
		if a := must(order{Do: "append", From: from, To: from + 240}); a.Took <= 0 {
			t.Error("it took no time")
		}
	}
	check := func(when string) {
		t.Helper()
		for _, q := range []Query{SingleGroupBy, LastPoint, DoubleGroupBy} {
			got, want := must(order{Do: "query", Query: q, Host: 1, N: 2, Hosts: 4}).Found, naive(d, q, 2)
			if got.Count != want.Count || math.Abs(got.Sum-want.Sum) > 1e-6 || got.Took <= 0 {
				t.Errorf("%s: %s: %+v, want %+v", when, q, got, want)
			}
		}
	}
	check("fresh")
	// Two parts of the head for each of 16 shards, and no write buffer of the store.
	if a := must(order{Do: "memory"}); a.Memory == 0 || a.Memory > 4<<20 {
		t.Errorf("%d bytes of memory of 40 series", a.Memory)
	}
	check("opened again")
	if a := must(order{Do: "flush"}); a.Disk.Bytes == 0 || a.Disk.Bytes > 4*uint64(len(d.Values)) {
		t.Errorf("%d bytes on the disk for %d samples", a.Disk.Bytes, len(d.Values))
	}
	check("flushed")
	if a := must(order{Do: "cpu"}); a.CPU != 7 {
		t.Errorf("CPU %v", a.CPU)
	}
	if a := do(order{Do: "dance"}); a.Error == "" {
		t.Error("it dances")
	}
	if a := do(order{Do: "query", Query: "x", N: 1}); a.Error == "" {
		t.Error("a query of no kind is answered")
	}
	orders.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestLines(t *testing.T) {
	d := TSBS(7, 2, 360, end)
	v := &Victoria{data: d, hosts: 2}
	requests := v.lines(5, 360)
	lines := 0
	for i, r := range requests {
		n := strings.Count(string(r), "\n")
		if lines += n; n != VictoriaLines && i < len(requests)-1 {
			t.Errorf("request %d has %d lines", i, n)
		}
	}
	first, _, _ := strings.Cut(string(requests[0]), "\n")
	if lines != 2*355 || !strings.HasPrefix(first, "cpu,hostname=host_0,region=") || strings.Count(first, ",") != 10+9 || !strings.HasSuffix(first, " 1699999260000000000") {
		t.Errorf("%d lines, the first %q", lines, first)
	}
	v = &Victoria{data: &Data{Labels: [][]string{{"__name__", "nab_0", "copy", "3"}}, Steps: 1, First: 9, Values: []float64{0.04}}}
	if got := string(v.lines(0, 1)[0]); got != "nab_0,copy=3 value=0.04 9000000\n" {
		t.Errorf("%q", got)
	}
}

func TestTotal(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Answer
		bad  bool
	}{
		{`{"data":{"result":[{"values":[[1,"2"],[2,"3.5"]]},{"values":[[1,"1"]]}]}}`, Answer{Count: 3, Sum: 6.5}, false},
		{`{"data":{"result":[{"value":[1,"2"]},{"value":[1,"4"]}]}}`, Answer{Count: 2, Sum: 6}, false},
		{`{"data":{"result":[]}}`, Answer{}, false},
		{`{"data":{"result":[{"value":[1,2]}]}}`, Answer{}, true},
		{`{"data":{"result":[{"value":[1,"x"]}]}}`, Answer{}, true},
		{`[`, Answer{}, true},
	} {
		if got, err := total([]byte(c.in)); (err != nil) != c.bad || !c.bad && got != c.want {
			t.Errorf("%s: %+v, %v", c.in, got, err)
		}
	}
}
