package seriesbench

import (
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
)

// Data is a matrix of samples: every series has one at every step.
//
//	file  series u32 | steps u32 | first s64 | step s64 | labels u32, bytes | values: steps × series f64
//
// All little-endian; times in Unix ms; labels are JSON: for each series its
// names and values in turn, __name__ first.
type Data struct {
	Labels [][]string
	Steps  int
	First  int64 // instant of the first sample
	Step   int64 // between two
	Values []float64
}

// StepMs is the distance of two samples.
const StepMs = 10_000

// Row returns the values of a step, one for each series.
func (d *Data) Row(step int) []float64 { n := len(d.Labels); return d.Values[step*n : (step+1)*n] }

// At returns the instant of a step.
func (d *Data) At(step int) int64 { return d.First + int64(step)*d.Step }

// Write writes the file.
func (d *Data) Write(path string) error {
	ls, err := json.Marshal(d.Labels)
	if err != nil {
		return err
	}
	b := make([]byte, 0, 28+len(ls)+8*len(d.Values))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(d.Labels)))
	b = binary.LittleEndian.AppendUint32(b, uint32(d.Steps))
	b = binary.LittleEndian.AppendUint64(b, uint64(d.First))
	b = binary.LittleEndian.AppendUint64(b, uint64(d.Step))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(ls)))
	b = append(b, ls...)
	for _, v := range d.Values {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	return os.WriteFile(path, b, 0o600)
}

var errFile = errors.New("no whole file of samples")

// Read reads it.
func Read(path string) (*Data, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(b) < 28 {
		return nil, fmt.Errorf("%s: %w", path, errFile)
	}
	le := binary.LittleEndian
	series, n := int(le.Uint32(b)), int(le.Uint32(b[24:]))
	d := &Data{Steps: int(le.Uint32(b[4:])), First: int64(le.Uint64(b[8:])), Step: int64(le.Uint64(b[16:]))}
	if len(b) != 28+n+8*series*d.Steps {
		return nil, fmt.Errorf("%s: %w: %d bytes for %d series of %d steps", path, errFile, len(b), series, d.Steps)
	}
	if err := json.Unmarshal(b[28:28+n], &d.Labels); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(d.Labels) != series {
		return nil, fmt.Errorf("%s: %w: labels of %d series, want %d", path, errFile, len(d.Labels), series)
	}
	d.Values = make([]float64, series*d.Steps)
	for i := range d.Values {
		d.Values[i] = math.Float64frombits(le.Uint64(b[28+n+8*i:]))
	}
	return d, nil
}

// Metrics are the ten of TSBS' case cpu-only.
var Metrics = [...]string{"usage_user", "usage_system", "usage_idle", "usage_nice", "usage_iowait", "usage_irq", "usage_softirq", "usage_steal", "usage_guest", "usage_guest_nice"}

// MetricPrefix is TSBS' measurement.
const MetricPrefix = "cpu_"

var (
	regions  = [...]string{"us-east-1", "us-west-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-1", "ap-northeast-1", "sa-east-1"}
	services = [...]string{"6", "11", "18", "2", "9", "14"}
	oses     = [...]string{"Ubuntu15.10", "Ubuntu16.10", "Ubuntu16.04LTS"}
	teams    = [...]string{"SF", "NYC", "LON", "CHI"}
)

// Host is the name of host i.
func Host(i int) string { return "host_" + strconv.Itoa(i) }

// TSBS makes data like that of TSBS' case cpu-only: ten metrics of each host with
// ten tags, whole numbers of 0 to 100 in a random walk, all at the same instants
// 10 s apart. end is an instant behind the last one.
func TSBS(seed uint64, hosts, steps int, end int64) *Data {
	rng := rand.New(rand.NewPCG(seed, uint64(hosts)))
	d := &Data{Steps: steps, Step: StepMs}
	d.First = end/hourMs*hourMs - int64(steps)*StepMs + StepMs
	d.First = (d.First-StepMs)/hourMs*hourMs + StepMs
	for h := range hosts {
		region := regions[rng.IntN(len(regions))]
		tags := []string{
			"hostname", Host(h), "region", region, "datacenter", region + string(rune('a'+rng.IntN(3))), "rack", strconv.Itoa(rng.IntN(100)),
			"os", oses[rng.IntN(len(oses))], "arch", []string{"x64", "x86"}[rng.IntN(2)], "team", teams[rng.IntN(len(teams))],
			"service", services[rng.IntN(len(services))], "service_version", strconv.Itoa(rng.IntN(2)), "service_environment", []string{"production", "staging", "test"}[rng.IntN(3)],
		}
		for _, m := range Metrics {
			d.Labels = append(d.Labels, append([]string{"__name__", MetricPrefix + m}, tags...))
		}
	}
	walk := make([]float64, len(d.Labels))
	for i := range walk {
		walk[i] = rng.Float64() * 100
	}
	d.Values = make([]float64, 0, steps*len(walk))
	for range steps {
		for i, v := range walk {
			v = min(max(v+rng.NormFloat64(), 0), 100)
			walk[i] = v
			d.Values = append(d.Values, math.Floor(v))
		}
	}
	return d
}

const hourMs = 3_600_000

// NAB reads the real series of a folder of the Numenta Anomaly Benchmark, each
// copies times under labels of its own. Their values are real; their instants are
// not, for they differ: all are 10 s apart.
func NAB(dir string, copies int, end int64) (*Data, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.csv"))
	if err != nil {
		return nil, err
	}
	var columns [][]float64
	for _, f := range files {
		vs, err := column(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		columns = append(columns, vs)
	}
	if len(columns) == 0 {
		return nil, fmt.Errorf("%s: no *.csv in it", dir)
	}
	d := &Data{Steps: len(columns[0]), Step: StepMs}
	for i, c := range columns {
		d.Steps = min(d.Steps, len(c))
		for k := range copies {
			d.Labels = append(d.Labels, []string{"__name__", "nab_" + strconv.Itoa(i), "copy", strconv.Itoa(k)})
		}
	}
	d.First = end - int64(d.Steps)*StepMs
	for s := range d.Steps {
		for _, c := range columns {
			for range copies {
				d.Values = append(d.Values, c[s])
			}
		}
	}
	return d, nil
}

// column is the second one of a CSV file with a head.
func column(path string) (vs []float64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, err
	}
	for i, row := range rows {
		if i == 0 {
			continue
		}
		if len(row) < 2 {
			return nil, fmt.Errorf("line %d has %d columns", i+1, len(row))
		}
		v, err := strconv.ParseFloat(row[1], 64)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		vs = append(vs, v)
	}
	return vs, nil
}
