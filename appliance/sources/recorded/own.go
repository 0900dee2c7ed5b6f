package recorded

import (
	"bytes"
	"fmt"

	"eyrie/engine/wire"
)

// own reads eyrie's events, one JSON object a line, as the API and `eyrie tail --json` print them. Records of
// the log itself (type "system") say nothing about agents and are left out.
func (b *builder) own(data []byte) error {
	n := 0
	for line := range bytes.Lines(data) {
		n++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		payload, bad := wire.AppendMsgpackFromJSON(nil, line)
		if bad != nil {
			return fmt.Errorf("line %d: %v", n, bad)
		}
		var v wire.View
		if err := v.Reset(payload); err == nil && string(v.Str(wire.FType)) == "system" {
			continue
		}
		var e wire.Event
		if err := wire.DecodeEvent(payload, &e); err != nil {
			return fmt.Errorf("line %d: %v", n, err)
		}
		if e.TS == 0 {
			e.TS, e.TSFrom = lastTS(b.events), "estimated"
		}
		for _, k := range []string{"offset", "recv_ms", "space", "producer", "seq"} { // the log adds its own
			delete(e.Extra, k)
		}
		b.events = append(b.events, e)
	}
	return nil
}

func lastTS(evs []wire.Event) int64 {
	if len(evs) == 0 {
		return epoch
	}
	return evs[len(evs)-1].TS
}
