package wire

// protoKind is the type of a Protobuf field and its form in MessagePack.
type protoKind uint8

const (
	pNone     protoKind = iota // no such field
	pText                      // string
	pBytes                     // bytes
	pInt                       // int64
	pUint                      // uint64
	pMs                        // double; an integer where that loses nothing
	pBool                      // bool
	pValue                     // Value
	pMessage                   // a map with fields of its own
	pTexts                     // repeated string: an array
	pOneText                   // repeated string: an array, one alone a string
	pMessages                  // repeated message: an array of maps
	pNumbers                   // map<string, double>
	pLabels                    // map<string, string>
	pValues                    // map<string, Value>
	pExtra                     // map<string, Value>: entries of the message's own map
	pTS                        // Event.ts
	pType                      // Event.type
	pPayload                   // Event.payload
	pEvents                    // Events.events
)

// repeated reports whether a field may come more than once.
func (k protoKind) repeated() bool { return k >= pTexts && k <= pExtra || k == pEvents }

// protoField is a field of a message: its name is that of the other codecs.
type protoField struct {
	name string
	kind protoKind
	sub  *protoSchema
}

// protoSchema is a message of eyrie.proto: its fields by their numbers. A test holds both against each other.
type protoSchema struct {
	name   string
	fields []protoField
}

func (s *protoSchema) field(num uint64) *protoField {
	if num < uint64(len(s.fields)) {
		return &s.fields[num]
	}
	return &noField
}

var noField protoField

// find returns the number of the field of that name, 0 for none.
func (s *protoSchema) find(name []byte) int {
	for i := range s.fields {
		if s.fields[i].name == string(name) && s.fields[i].kind != pNone {
			return i
		}
	}
	return 0
}

var (
	protoEvent = &protoSchema{"Event", []protoField{
		1: {"agent", pText, nil}, 2: {"ts", pTS, nil}, 3: {"type", pType, nil}, 4: {"", pPayload, nil}, 5: {"phase", pText, nil},
		6: {"span", pText, nil}, 7: {"parent", pText, nil}, 8: {"run", pText, nil}, 9: {"name", pText, nil}, 10: {"status", pText, nil},
		11: {"session", pText, nil}, 12: {"task", pText, nil}, 13: {"msg", pText, nil}, 14: {"kind", pText, nil}, 15: {"to", pOneText, nil},
		16: {"ts_ns", pInt, nil}, 17: {"start", pMs, nil}, 18: {"dur_ms", pMs, nil}, 19: {"ts_from", pText, nil}, 20: {"severity", pText, nil},
		21: {"prio", pText, nil}, 22: {"error", pMessage, protoError}, 23: {"input", pValue, nil}, 24: {"output", pValue, nil},
		25: {"usage", pMessage, protoUsage}, 26: {"attempt", pInt, nil}, 27: {"step", pInt, nil}, 28: {"links", pMessages, protoLink},
		29: {"metrics", pNumbers, nil}, 30: {"counters", pNumbers, nil}, 31: {"deltas", pNumbers, nil}, 32: {"unit", pText, nil},
		33: {"unit", pLabels, nil}, 34: {"labels", pLabels, nil}, 35: {"attrs", pValues, nil}, 36: {"state", pMessage, protoState},
		37: {"on", pText, nil}, 38: {"by", pText, nil}, 39: {"role", pText, nil}, 40: {"manager", pText, nil}, 41: {"host", pText, nil},
		42: {"version", pText, nil}, 43: {"model", pText, nil}, 44: {"heartbeat_ms", pMs, nil}, 45: {"ended", pBool, nil},
		46: {"capabilities", pValue, nil}, 47: {"", pExtra, nil},
	}}
	protoError = &protoSchema{"Error", []protoField{
		1: {"code", pText, nil}, 2: {"msg", pText, nil}, 3: {"retryable", pBool, nil}, 4: {"cause", pValue, nil}, 15: {"", pExtra, nil},
	}}
	protoUsage = &protoSchema{"Usage", []protoField{
		1: {"model", pText, nil}, 2: {"input_tokens", pInt, nil}, 3: {"output_tokens", pInt, nil}, 4: {"cache_read_tokens", pInt, nil},
		5: {"cache_write_tokens", pInt, nil}, 6: {"reasoning_tokens", pInt, nil}, 7: {"cost_nanousd", pInt, nil},
		8: {"cost_claimed_nanousd", pInt, nil}, 9: {"quality", pText, nil}, 15: {"", pExtra, nil},
	}}
	protoLink  = &protoSchema{"Link", []protoField{1: {"span", pText, nil}, 2: {"kind", pText, nil}, 15: {"", pExtra, nil}}}
	protoState = &protoSchema{"State", []protoField{1: {"state", pText, nil}, 2: {"on", pText, nil}, 3: {"by", pText, nil}, 15: {"", pExtra, nil}}}

	// The messages of each side, by the number in their oneof.
	protoAgent = [...]*protoSchema{
		1: {"Hello", []protoField{
			1: {"producer", pBytes, nil}, 2: {"epoch", pUint, nil}, 3: {"first", pUint, nil}, 4: {"now", pMs, nil},
			5: {"agent", pMessage, protoEvent}, 6: {"sheddable", pTexts, nil}, 7: {"features", pTexts, nil},
		}},
		2: {"Events", []protoField{1: {"seq", pUint, nil}, 2: {"pos", pBytes, nil}, 3: {"events", pEvents, protoEvent}}},
		3: {"Lost", []protoField{1: {"from", pUint, nil}, 2: {"to", pUint, nil}, 3: {"reason", pText, nil}}},
		4: {"Result", []protoField{1: {"id", pText, nil}, 2: {"ok", pBool, nil}, 3: {"data", pValue, nil}}},
	}
	protoServer = [...]*protoSchema{
		1: {"Welcome", []protoField{
			1: {"log", pBytes, nil}, 2: {"epoch", pUint, nil}, 3: {"next", pUint, nil}, 4: {"pos", pBytes, nil},
			5: {"limits", pMessage, &protoSchema{"Limits", []protoField{
				1: {"event", pInt, nil}, 2: {"frame", pInt, nil}, 3: {"frame_events", pInt, nil}, 4: {"depth", pInt, nil},
				5: {"metrics", pInt, nil}, 6: {"idle_ms", pInt, nil},
			}}},
			6: {"features", pTexts, nil},
		}},
		2: {"Ack", []protoField{1: {"seq", pUint, nil}}},
		3: {"Nack", []protoField{1: {"from", pUint, nil}, 2: {"to", pUint, nil}, 3: {"code", pText, nil}, 4: {"field", pText, nil}, 5: {"error", pText, nil}}},
		4: {"Shed", []protoField{1: {"from", pUint, nil}, 2: {"to", pUint, nil}, 3: {"class", pText, nil}}},
		5: {"Slow", []protoField{1: {"rate", pMs, nil}}},
		6: {"Command", []protoField{1: {"id", pText, nil}, 2: {"name", pText, nil}, 3: {"args", pValue, nil}, 4: {"expires", pMs, nil}}},
		7: {"Goaway", []protoField{1: {"url", pText, nil}, 2: {"after_ms", pUint, nil}}},
	}
	protoAgentOps  = [...]Op{1: OpHello, 2: OpEvents, 3: OpLost, 4: OpResult}
	protoServerOps = [...]Op{1: OpWelcome, 2: OpAck, 3: OpNack, 4: OpShed, 5: OpSlow, 6: OpCommand, 7: OpGoaway}
)
