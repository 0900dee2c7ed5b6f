package wire

import (
	"fmt"
	"testing"
)

func BenchmarkEvents(b *testing.B) {
	var events []string
	for i := range 100 {
		switch i % 4 {
		case 0:
			events = append(events, fmt.Sprintf(`{"type":"tool","phase":"start","agent":"agent-%05d","run":"run-%d","span":"s%08x","ts":17000000%05d,"name":"Read"}`, i, i, i, i))
		case 1:
			events = append(events, fmt.Sprintf(`{"type":"metrics","agent":"agent-%05d","ts":17000000%05d,"metrics":{"cpu":0.%d,"memory":%d,"queue":3}}`, i, i, i+1, i*100))
		case 2:
			events = append(events, fmt.Sprintf(`{"type":"llm","phase":"end","agent":"agent-%05d","span":"s%08x","ts":17000000%05d,"usage":{"input_tokens":%d,"output_tokens":9}}`, i, i, i, i))
		case 3:
			events = append(events, fmt.Sprintf(`{"type":"message","agent":"agent-%05d","ts":17000000%05d,"kind":"text","msg":"line %d of a conversation that goes on for a while"}`, i, i, i))
		}
	}
	for _, c := range []Codec{MsgPack, JSON, Proto} {
		b.Run("codec="+c.String(), func(b *testing.B) {
			frame := message(b, c, events...)
			var p Parser
			var m Message
			var h Head
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			for b.Loop() {
				p.Parse(c, frame, &m)
				for {
					_, e, more := p.NextEvent(c, &m, &h)
					if e != nil {
						b.Fatal(e)
					}
					if !more {
						break
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(events)), "ns/event")
		})
	}
	b.Run("view", func(b *testing.B) {
		frame := message(b, MsgPack, events...)
		var p Parser
		var m Message
		var h Head
		var payloads [][]byte
		p.Parse(MsgPack, frame, &m)
		for payload, _, more := p.NextEvent(MsgPack, &m, &h); more; payload, _, more = p.NextEvent(MsgPack, &m, &h) {
			payloads = append(payloads, payload)
		}
		var v View
		b.ReportAllocs()
		for b.Loop() {
			for _, p := range payloads {
				if err := v.Reset(p); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(payloads)), "ns/event")
	})
}
