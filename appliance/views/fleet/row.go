package fleet

// Agent is one row as the HTTP API shows it: a copy, owned by the caller.
// Times are Unix milliseconds, money nano-dollars.
type Agent struct {
	Num         uint32            `json:"-"` // dense number in the log's dictionary
	Space       string            `json:"space"`
	ID          string            `json:"id"`
	Name        string            `json:"name,omitempty"`
	Role        string            `json:"role,omitempty"`
	Host        string            `json:"host,omitempty"`
	Version     string            `json:"version,omitempty"`
	Model       string            `json:"model,omitempty"`
	Manager     string            `json:"manager,omitempty"`
	Kind        string            `json:"kind,omitempty"`
	State       string            `json:"state"`
	On          string            `json:"on,omitempty"`
	StateBy     string            `json:"state_by"`
	StateSince  float64           `json:"state_since_ms"`
	StateMsg    string            `json:"state_msg,omitempty"`
	Verdict     *Verdict          `json:"verdict,omitempty"`
	Show        string            `json:"show"`
	Task        *Task             `json:"task,omitempty"`
	Run         *Run              `json:"run,omitempty"`
	Session     string            `json:"session,omitempty"`
	Ask         *Ask              `json:"ask,omitempty"`
	First       float64           `json:"first_ms"`
	Last        float64           `json:"last_ms"`
	Ended       bool              `json:"ended"`
	EndedMs     float64           `json:"ended_ms,omitempty"`
	EndedBy     string            `json:"ended_by,omitempty"` // agent: it said so; fold: inferred from silence
	HeartbeatMs float64           `json:"heartbeat_ms,omitempty"`
	Links       int               `json:"links"`
	Workers     int               `json:"workers"`
	Labels      map[string]string `json:"labels,omitempty"`
	Counts      Counts            `json:"counts"`
	Usage       Usage             `json:"usage"`
	Rate        Rate              `json:"rate"`
	Open        Open              `json:"open"`
}

// Verdict is a judgement of ours over the declared state: which rule, why in
// words, since when, and the log offsets that show it.
type Verdict struct {
	Kind     string   `json:"kind"`
	Rule     string   `json:"rule"`
	Reason   string   `json:"reason"`
	Since    float64  `json:"since_ms"`
	Evidence []uint64 `json:"evidence"`
}

// Task is the task an agent works on; From is who delegated it.
type Task struct {
	Span  string  `json:"span"`
	Name  string  `json:"name"`
	Since float64 `json:"since_ms"`
	From  string  `json:"from,omitempty"`
}

// Run is the goal an agent is busy with.
type Run struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Ask is a question an agent waits on a person with.
type Ask struct {
	Span  string  `json:"span"`
	Name  string  `json:"name"`
	Msg   string  `json:"msg"`
	Kind  string  `json:"kind"`
	Since float64 `json:"since_ms"`
}

// Counts are totals since the agent was first seen.
type Counts struct {
	Events      uint64 `json:"events"`
	Runs        uint64 `json:"runs"`
	Tasks       uint64 `json:"tasks"`
	LLM         uint64 `json:"llm"`
	Tools       uint64 `json:"tools"`
	Asks        uint64 `json:"asks"`
	Messages    uint64 `json:"messages"`
	Errors      uint64 `json:"errors"`
	FailedCalls uint64 `json:"failed_calls"`
	Denied      uint64 `json:"denied"`
	Cancelled   uint64 `json:"cancelled"`
	Shed        uint64 `json:"shed"`
}

// Usage adds up what spans used, each span's last report once. Quality is the
// worst of what was added: lower_bound before estimated before exact.
type Usage struct {
	Input      int64  `json:"input_tokens"`
	Output     int64  `json:"output_tokens"`
	CacheRead  int64  `json:"cache_read_tokens"`
	CacheWrite int64  `json:"cache_write_tokens"`
	Reasoning  int64  `json:"reasoning_tokens"`
	Cost       int64  `json:"cost_nanousd"`
	Quality    string `json:"quality"`
}

// Rate is the last 15 minutes, oldest first, and their cost per hour.
type Rate struct {
	Events15m [ringMinutes]uint32 `json:"events_15m"`
	CostH     int64               `json:"cost_nanousd_h"`
}

// Open counts spans that have started and not ended.
type Open struct {
	Tools int `json:"tools"`
	LLM   int `json:"llm"`
	Tasks int `json:"tasks"`
}

// Fleet is the summary over all agents.
type Fleet struct {
	Live            int            `json:"agents_live"`
	Ended           int            `json:"agents_ended"`
	ByShow          map[string]int `json:"by_show"`
	EventsPerS      float64        `json:"events_per_s"`
	TokensH         int64          `json:"tokens_per_h"`
	CostH           int64          `json:"cost_nanousd_h"`
	FailedCallShare float64        `json:"failed_call_share"`
	Attention       int            `json:"attention"`
	Offset          uint64         `json:"offset"`
	Clock           float64        `json:"clock_ms"`
}

// Wants is one entry of the attention list: what wants a person now.
type Wants struct {
	Kind     string   `json:"kind"`
	Agent    Agent    `json:"agent"`
	Since    float64  `json:"since_ms"`
	Age      float64  `json:"age_ms"`
	Title    string   `json:"title"`
	Detail   string   `json:"detail"`
	Span     string   `json:"span,omitempty"`
	Run      string   `json:"run,omitempty"`
	Evidence []uint64 `json:"evidence"`
	Burn     int64    `json:"burn_nanousd_h"`
	Score    float64  `json:"score"`
}

// Attention is the list sorted by age × burn; Total counts all of it.
type Attention struct {
	Items []Wants `json:"items"`
	Total int     `json:"total"`
}

// Page is one page of agents; Next is "" at the end.
type Page struct {
	Items []Agent `json:"items"`
	Next  string  `json:"next"`
	Total int     `json:"total"`
}
