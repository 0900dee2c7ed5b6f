package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
)

// data is the file that package seriesbench describes.
type data struct {
	labels [][]string
	steps  int
	first  int64
	step   int64
	values []float64
}

func read(path string) (*data, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(b) < 28 {
		return nil, fmt.Errorf("%s: no whole file of samples", path)
	}
	le := binary.LittleEndian
	series, n := int(le.Uint32(b)), int(le.Uint32(b[24:]))
	d := &data{steps: int(le.Uint32(b[4:])), first: int64(le.Uint64(b[8:])), step: int64(le.Uint64(b[16:]))}
	if len(b) != 28+n+8*series*d.steps {
		return nil, fmt.Errorf("%s: %d bytes for %d series of %d steps", path, len(b), series, d.steps)
	}
	if err := json.Unmarshal(b[28:28+n], &d.labels); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	d.values = make([]float64, series*d.steps)
	for i := range d.values {
		d.values[i] = math.Float64frombits(le.Uint64(b[28+n+8*i:]))
	}
	return d, nil
}

func (d *data) at(step int) int64 { return d.first + int64(step)*d.step }
