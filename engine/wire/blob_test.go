package wire

import (
	"fmt"
	"strings"
	"testing"
)

const blobSum = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"

func TestBlobs(t *testing.T) {
	other := strings.Repeat("0a", 32)
	for in, want := range map[string]string{
		`{"type":"log"}`: "false",
		`{"type":"log","input":{"$blob":"` + blobSum + `","size":11,"type":"text/plain"}}`:                                     "true input:b94d/11/text/plain",
		`{"type":"log","output":{"$blob":"` + blobSum + `"}}`:                                                                  "true output:b94d/-1/",
		`{"type":"log","output":[1,{"a":{"x":null,"$blob":"` + blobSum + `","more":[{}]}}],"attrs":{"$blob":"` + other + `"}}`: "true output:b94d/-1/ attrs:0a0a/-1/",
		`{"type":"log","attrs":{"b":{"$blob":"` + other + `","size":0}},"mine":{"$blob":"` + other + `"}}`:                     "true attrs:0a0a/0/ mine:0a0a/-1/",
		`{"type":"log","capabilities":[{"$blob":"` + other + `","size":-1,"type":3}]}`:                                         "true capabilities:0a0a/-1/",
		// Alike, and no names of blobs.
		`{"type":"log","input":{"$blob":"` + strings.ToUpper(blobSum) + `"}}`: "true",
		`{"type":"log","input":{"$blob":"` + blobSum[1:] + `"}}`:              "true",
		`{"type":"log","input":{"$blob":7}}`:                                  "true",
		`{"type":"log","input":{"a":"$blob","b":"` + blobSum + `"}}`:          "false",
		`{"type":"log","input":["$blob","` + blobSum + `"]}`:                  "false",
		`{"type":"log","$blob":"` + blobSum + `"}`:                            "false",
		`{"type":"log","error":{"cause":{"$blob":"` + blobSum + `"}}}`:        "false",
		`{"type":"log","labels":{"$blob":"` + blobSum + `"},"msg":"$blob"}`:   "false",
	} {
		eachCodec(t, func(t *testing.T, c Codec) {
			var p Parser
			var m Message
			var h Head
			p.Parse(c, message(t, c, in), &m)
			payload, e, more := p.NextEvent(c, &m, &h)
			if e != nil || !more {
				t.Fatalf("%s: %v", in, e)
			}
			got := fmt.Sprint(h.Blob)
			for _, b := range Blobs(nil, payload) {
				got += fmt.Sprintf(" %s:%x/%d/%s", b.Field, b.SHA256[:2], b.Size, b.Type)
			}
			if got != want {
				t.Errorf("%s: got %s, want %s", in, got, want)
			}
		})
	}
}

// What a Value says is read back, whole events and broken ones alike cost no more than their bytes.
func TestBlobValue(t *testing.T) {
	sum, ok := ParseSHA256(blobSum)
	if !ok {
		t.Fatal("no sum")
	}
	b := Blob{SHA256: sum, Size: 1 << 24, Type: "image/png", Field: "output"}
	e := Event{Type: TypeTool, Agent: "a", Output: b.Value()}
	payload := e.AppendMsgpack(nil)
	if got := Blobs(nil, payload); len(got) != 1 || got[0] != b {
		t.Fatalf("got %+v, want %+v", got, b)
	}
	for i := range payload {
		Blobs(nil, payload[:i])
		for _, c := range []byte{0, 0x81, 0x91, 0xc1, 0xdf, 0xff} {
			broken := append([]byte(nil), payload...)
			broken[i] = c
			Blobs(nil, broken)
		}
	}
	for _, s := range []string{"", blobSum[1:], blobSum + "0", strings.Replace(blobSum, "b", "B", 1), strings.Replace(blobSum, "b", "g", 1)} {
		if _, ok := ParseSHA256(s); ok {
			t.Errorf("%q is taken for a SHA-256", s)
		}
	}
}

// Every head that an event can have keeps its flags apart; without blobs they are what they always were.
func TestFlags(t *testing.T) {
	seen := map[uint8]Head{}
	for phase := PhaseWhole; phase <= PhaseEnd; phase++ {
		for severity := SeverityDebug; severity <= SeverityFatal; severity++ {
			for prio := PrioLow; prio <= PrioCritical; prio++ {
				for _, blob := range []bool{false, true} {
					h := Head{Phase: phase, Severity: severity, Prio: prio, Blob: blob}
					f := h.Flags()
					if o, ok := seen[f]; ok {
						t.Fatalf("%+v and %+v have the same flags", o, h)
					}
					seen[f] = h
					if !blob && f != uint8(phase)|uint8(severity)<<2|uint8(prio)<<5 {
						t.Fatalf("%+v has flags %#x", h, f)
					}
					if back := HeadFromFlags(f); back.Phase != phase || back.Severity != severity || back.Prio != prio || back.Blob != blob || FlagsBlob(f) != blob {
						t.Fatalf("%+v came back as %+v", h, back)
					}
				}
			}
		}
	}
	if FlagsBlob(0) {
		t.Error("no flags name a blob")
	}
}
