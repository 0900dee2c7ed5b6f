package viewer

import (
	"strings"
	"testing"
	"time"

	"eyrie/appliance/views/live"
	"eyrie/engine/wire"
	"eyrie/wal"
)

// event is a record as the server shows it.
func event(t *testing.T, offset uint64, payload []byte) string {
	t.Helper()
	rec := wal.Record{Offset: offset, Recv: time.Now().UnixNano(), Kind: wal.KindEvent, Class: uint8(wire.TypeLog), Payload: payload, Producer: 3, Seq: 9}
	return string(live.AppendEventJSON(nil, &rec, func(uint32) (string, string, bool) { return "main", "a", true }))
}

func TestScan(t *testing.T) {
	text := wire.AppendStr(wire.AppendStr(wire.AppendMapHeader(nil, 1), "msg"), `{"offset":1},{"space":2},"x_us":5,"x_n":6`)
	items := []string{event(t, 7, text), event(t, 8, appendMark(nil, time.UnixMicro(1_800_000_000_000_123), 41)), event(t, 9, text)}
	for _, c := range []struct {
		in   string
		want message
	}{
		{`{"op":"events","id":2,"items":[` + strings.Join(items, ",") + `],"offset":9}`, message{"events", 2, 3}},
		{`{"op":"agents","id":12,"offset":9,"items":[{"space":"main","id":"a"},{"space":"main","id":"b"}],"gone":[{"space":"main","id":"c"}]}`, message{"agents", 12, 3}},
		{`{"op":"agents","id":12,"offset":9,"items":[],"gone":[],"snapshot":true,"end":true}`, message{"agents", 12, 0}},
		{`{"op":"fleet","id":1,"fleet":{}}`, message{"fleet", 1, 1}},
		{`{"op":"hello","log":"x"}`, message{}},
		{`{"op":"eventsful","id":1}`, message{}},
		{`{"op":"events","id":"1"}`, message{}},
		{``, message{}},
	} {
		if got := scan([]byte(c.in)); got != c.want {
			t.Errorf("%.60s: %+v, want %+v", c.in, got, c.want)
		}
	}
	var seen [][2]uint64
	marks([]byte(`{"op":"events","id":2,"items":[`+strings.Join(items, ",")+`],"offset":9}`), func(us int64, n uint64) { seen = append(seen, [2]uint64{uint64(us), n}) })
	if len(seen) != 1 || seen[0] != [2]uint64{1_800_000_000_000_123, 41} {
		t.Errorf("the probe's events are %v", seen)
	}
}
