package wire

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

// fullEvent has every field of the protocol once.
func fullEvent() Event {
	yes, dur := true, 12.5
	return Event{
		Type: TypeTool, Phase: PhaseEnd, Severity: SeverityWarn, Prio: PrioHigh,
		Agent: "a1", Session: "se", Run: "r1", Task: "t1", Span: "s1", Parent: "s0", To: []string{"b", "c"},
		TS: 1700000000123456789, Start: 1700000000000 * 1e6, DurMs: &dur, TSFrom: "source",
		Name: "Read", Msg: "two\nlines", Kind: "text", Status: StatusDenied,
		Error: &Error{Code: "E1", Msg: "no", Retryable: &yes, Cause: "person"},
		Input: map[string]any{"path": "/x", "n": int64(1<<62 + 1)}, Output: []byte{0, 255},
		Usage:   &Usage{Model: []byte("m-1"), Input: 1, Output: 2, CacheRead: 3, CacheWrite: 4, Reasoning: 5, CostNanoUSD: 6, CostClaimedNanoUSD: 7, Quality: QualityLowerBound},
		Attempt: 2, Step: 3, Links: []Link{{"s9", "retry"}},
		Metrics: map[string]float64{"cpu": 0.25, "mem": 1024}, Counters: map[string]float64{"done": 3}, Deltas: map[string]float64{"d": -1},
		Unit: map[string]string{"cpu": "1"}, Labels: map[string]string{"zone": "eu"}, Attrs: map[string]any{"gen_ai.system": "x"},
		State: &State{"waiting", "tool", "agent"},
		Role:  "reviewer", Manager: "boss", Host: "h", Version: "v1", Model: "m-1", HeartbeatMs: 5000, Ended: true, Capabilities: []any{"pause"},
		Extra: map[string]any{"x_mine": nil, "x_two": int64(2)},
	}
}

func goldenMessages(c Codec) map[string][]byte {
	id := [16]byte{0: 0x11, 7: 0x77, 15: 0xff}
	e := fullEvent()
	small := Event{Type: TypeLog, Msg: "x"}
	return map[string][]byte{
		"hello": AppendHello(nil, c, &HelloOut{Producer: id, Epoch: 3, First: 7, Now: 1700000000000 * 1e6, Agent: &Event{Agent: "a1", Role: "r"},
			Sheddable: []Prio{PrioLow, PrioNormal}, Features: []string{"f"}}),
		"events":  AppendEvents(nil, c, 7, []byte("pos-1"), e.AppendMsgpack(nil), small.AppendMsgpack(nil)),
		"lost":    AppendLost(nil, c, 7, 9, "disk full"),
		"result":  AppendResult(nil, c, "c1", true, AppendValue(nil, []any{1, "x"})),
		"welcome": AppendWelcome(nil, c, &Welcome{Log: id, Epoch: 2, Next: 10, Pos: []byte("pos-1"), Limits: DefaultLimits(), Features: []string{"f"}}),
		"ack":     AppendAck(nil, c, 300),
		"nack":    AppendNack(nil, c, 7, 9, CodeRange, "events[0].ts", "an instant lies between 1970 and 2100"),
		"shed":    AppendShed(nil, c, 7, 9, PrioLow),
		"slow":    AppendSlow(nil, c, 12.5),
		"command": AppendCommand(nil, c, &Command{ID: "c1", Name: "pause", Args: AppendValue(nil, map[string]any{"why": "<b>"}), Expires: 1700000000000 * 1e6}),
		"goaway":  AppendGoaway(nil, c, "ws://h:1/v1/agent", 1500*time.Millisecond),
	}
}

// The bytes on the wire are an agreement: they change only on purpose.
func TestGoldenMessages(t *testing.T) {
	eachCodec(t, func(t *testing.T, c Codec) {
		for name, got := range goldenMessages(c) {
			file := filepath.Join("testdata", name+"."+c.String())
			text := string(got) + "\n"
			if c != JSON {
				text = hex.Dump(got)
			}
			if c == Proto {
				file = filepath.Join("testdata", name+".pb")
			}
			if *update {
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil || string(want) != text {
				t.Errorf("%s: %v\n got %s\nwant %s\nif the change is meant: go test ./engine/wire -run Golden -update", file, err, text, want)
			}
		}
	})
}

// What the golden messages say is read back, in each codec.
func TestGoldenMessagesAreRead(t *testing.T) {
	eachCodec(t, func(t *testing.T, c Codec) {
		for name, b := range goldenMessages(c) {
			var p Parser
			var m Message
			var s ServerMessage
			switch name {
			case "hello", "events", "lost", "result":
				if e := p.Parse(c, b, &m); e != nil || m.Op.String() != name {
					t.Errorf("%s: %v %v", name, m.Op, e)
				}
			default:
				if err := ParseServer(c, b, &s); err != nil || s.Op.String() != name || s.OpName != name {
					t.Errorf("%s: %v %v", name, s.Op, err)
				}
			}
			ok := true
			switch name {
			case "lost":
				ok = m.From == 7 && m.To == 9 && string(m.Reason) == "disk full"
			case "result":
				ok = string(m.ID) == "c1" && m.OK && string(m.Data) == "\x92\x01\xa1x"
			case "welcome":
				ok = s.Welcome.Next == 10 && s.Welcome.Log[15] == 0xff && string(s.Welcome.Pos) == "pos-1" && s.Welcome.Limits == DefaultLimits() && s.Welcome.Epoch == 2 && len(s.Welcome.Features) == 1
			case "ack":
				ok = s.Seq == 300
			case "nack":
				ok = s.From == 7 && s.To == 9 && s.Code == CodeRange && s.Field == "events[0].ts" && strings.Contains(s.Msg, "2100")
			case "shed":
				ok = s.From == 7 && s.To == 9 && s.Class == PrioLow
			case "slow":
				ok = s.Rate == 12.5
			case "command":
				args, _ := ReadValue(s.Command.Args)
				ok = s.Command.ID == "c1" && s.Command.Name == "pause" && s.Command.Expires == 1700000000000*1e6 && args.(map[string]any)["why"] == "<b>"
			case "goaway":
				ok = s.URL == "ws://h:1/v1/agent" && s.After == 1500*time.Millisecond
			}
			if !ok {
				t.Errorf("%s read as %+v %+v", name, m, s)
			}
		}
	})
}

// Each cut of each message is refused or, for events, ends in errors; none panics.
func TestTruncatedMessages(t *testing.T) {
	eachCodec(t, func(t *testing.T, c Codec) {
		for name, b := range goldenMessages(c) {
			for n := range len(b) {
				var p Parser
				var m Message
				var h Head
				var s ServerMessage
				if ParseServer(c, bytes.Clone(b[:n]), &s) == nil {
					t.Errorf("%s cut at %d was taken by a client", name, n)
				}
				if p.Parse(c, bytes.Clone(b[:n]), &m) != nil {
					continue
				}
				bad := false
				for {
					_, e, more := p.NextEvent(c, &m, &h)
					if !more {
						break
					}
					bad = bad || e != nil
				}
				if !bad {
					t.Errorf("%s cut at %d was taken", name, n)
				}
			}
		}
	})
}
