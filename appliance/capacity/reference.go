package capacity

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

//go:embed reference.json
var reference []byte

// Reference returns the costs that are built in: recorded on one machine, at one
// time, as they say themselves.
func Reference() *Costs {
	c := *referenced()
	return &c
}

var referenced = sync.OnceValue(func() *Costs {
	c := &Costs{}
	d := json.NewDecoder(bytes.NewReader(reference))
	d.DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		panic("capacity: reference.json: " + err.Error())
	}
	return c
})

// ReadReport returns the costs of a JSON report of eyrie bench: its member "costs".
func ReadReport(r io.Reader) (*Costs, error) {
	var report struct {
		Part  string `json:"part"`
		Costs *Costs `json:"costs"`
	}
	if err := json.NewDecoder(r).Decode(&report); err != nil {
		return nil, fmt.Errorf("not a JSON report of eyrie bench: %w", err)
	}
	if report.Costs == nil {
		if report.Part != "" {
			return nil, fmt.Errorf("the report of eyrie bench %s has no costs: only that of a whole run has", report.Part)
		}
		return nil, fmt.Errorf("not a JSON report of eyrie bench: it has no costs")
	}
	return report.Costs, nil
}
