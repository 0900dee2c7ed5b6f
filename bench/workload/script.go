package workload

// The mix. Each frame takes its events from agents drawn at random among those
// of the connection; each agent lives through its script:
//
//	worker   task start (sent as the manager), 2 to 5 turns, task end
//	  turn   llm start, llm end with usage, 0 to 3 tool calls of start and end,
//	         a metrics event, a message to the manager every second time
//	manager  run start, 8 to 20 turns without tools, run end
//
// In the long run, of 100 events and with their mean MessagePack payload:
//
//	type     phase    share  bytes  fields beside type, agent, ts
//	tool     start    19.5   136    span, parent, run, name
//	tool     end      19.4    87    span, status; 3 % error with code and msg, 0.5 % denied
//	llm      start    15.5   137    span, parent, run, name
//	llm      end      15.3   200    span, status, usage of five numbers and model
//	metrics           15.0   109    4 gauges: integers and decimals
//	message            7.4   144    to, run, kind, 20 to 60 bytes of text
//	task     start     4.1   161    span, parent, to, run, name
//	task     end       3.5    86    span, status
//	run      both      0.3    92    span, name or status
//
// 132 bytes in the mean. Ids are 16 hexadecimal digits from a
// bijection, so never repeated; there are 12 tools, 12 kinds of task and 5
// models, of which an agent uses one, and the small one for every eighth
// call: at most 14 series an agent.
// The test holds the shares and the mean.

// step is where an agent stands in its script: what it emits next.
type step uint8

const (
	stepBegin step = iota
	stepThink
	stepAnswer
	stepCall
	stepReturn
	stepReport
	stepTell
	stepDone
)

// actor is one agent's place in its script.
type actor struct {
	id      string
	manager string // "" for a manager
	team    int32  // index into Stream.runs
	step    step
	turns   uint8 // left in this task or run
	tools   uint8 // left in this turn
	model   uint8 // index of the one it uses
	pick    uint8 // index of the tool or model of the open call
	top     uint64
	call    uint64 // the open call's span
	context uint32 // tokens in the agent's context
	done    uint32 // calls since the beginning
}

func (a *actor) lead() bool { return a.manager == "" }

// advance says what follows a finished step.
func (a *actor) advance(d *dice) {
	switch a.step {
	case stepBegin:
		if a.lead() {
			a.turns = uint8(d.between(8, 20))
		} else {
			a.turns = uint8(d.between(2, 5))
		}
		a.step = stepThink
	case stepThink:
		a.step = stepAnswer
	case stepAnswer:
		a.tools = 0
		if !a.lead() {
			a.tools = uint8(d.below(4))
		}
		a.call0()
	case stepCall:
		a.step = stepReturn
	case stepReturn:
		a.tools--
		a.call0()
	case stepReport:
		a.step = stepTell
		if d.below(2) == 0 {
			a.turn()
		}
	case stepTell:
		a.turn()
	case stepDone:
		a.step = stepBegin
	}
}

// call0 goes to the next tool call, or on to the report.
func (a *actor) call0() {
	a.step = stepReport
	if a.tools > 0 {
		a.step = stepCall
	}
}

// turn goes to the next turn, or to the end.
func (a *actor) turn() {
	a.turns--
	a.step = stepThink
	if a.turns == 0 {
		a.step = stepDone
	}
}

var (
	toolNames  = [...]string{"Read", "Edit", "Write", "Bash", "Grep", "Glob", "WebFetch", "WebSearch", "sql_query", "http_get", "send_mail", "lookup_order"}
	modelNames = [...]string{"opus-4.5", "sonnet-4.5", "haiku-4.5", "gpt-5.2", "gemini-3-pro"}
	taskNames  = [...]string{"explore the code", "write tests", "review changes", "fix the build", "triage issue", "update docs", "plan migration", "check invoice", "answer ticket", "draft reply", "collect sources", "compare offers"}
	errorCodes = [...]string{"timeout", "not_found", "exit_1", "rate_limit"}
	words      = [...]string{"the", "build", "passes", "after", "retry", "found", "three", "callers", "of", "parser", "customer", "order", "was", "shipped", "index", "missing", "checked", "now", "waiting", "for", "review", "test", "fails", "on", "second", "run", "cache", "cleared", "see", "notes", "42", "ok"}
)

// smallModel is the index of the model that every agent uses for small calls.
const smallModel = 2
