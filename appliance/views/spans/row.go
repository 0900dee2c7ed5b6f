package spans

// Span is one row as the HTTP API shows it: a copy, owned by the caller. Times
// are Unix milliseconds.
type Span struct {
	Space       string   `json:"space"`
	Span        string   `json:"span"`
	Parent      string   `json:"parent,omitempty"`
	Type        string   `json:"type"`
	Name        string   `json:"name"`
	Agent       string   `json:"agent"`
	To          string   `json:"to,omitempty"`
	Run         string   `json:"run,omitempty"`
	Task        string   `json:"task,omitempty"`
	Session     string   `json:"session,omitempty"`
	Status      string   `json:"status"`
	Open        bool     `json:"open"`
	Start       float64  `json:"start_ms"`
	End         *float64 `json:"end_ms,omitempty"`
	Dur         *float64 `json:"dur_ms,omitempty"`
	TSFrom      string   `json:"ts_from,omitempty"`
	Usage       *Usage   `json:"usage,omitempty"`
	Error       *Error   `json:"error,omitempty"`
	Attempt     int64    `json:"attempt,omitempty"`
	Kind        string   `json:"kind,omitempty"`
	Msg         string   `json:"msg,omitempty"`
	Severity    string   `json:"severity,omitempty"`
	NoStart     bool     `json:"no_start,omitempty"`
	Ends        uint32   `json:"ends,omitempty"` // only above 1
	StartOffset uint64   `json:"start_offset"`
	EndOffset   uint64   `json:"end_offset"`
	Children    *int     `json:"children,omitempty"` // Get only
	AgentNum    uint32   `json:"-"`
}

// Usage is the last report of the span's own work.
type Usage struct {
	Model      string `json:"model,omitempty"`
	Input      int64  `json:"input_tokens"`
	Output     int64  `json:"output_tokens"`
	CacheRead  int64  `json:"cache_read_tokens"`
	CacheWrite int64  `json:"cache_write_tokens"`
	Reasoning  int64  `json:"reasoning_tokens"`
	Cost       int64  `json:"cost_nanousd"`
	Quality    string `json:"quality"`
}

// Error is why a span failed.
type Error struct {
	Code string `json:"code"`
	Msg  string `json:"msg"`
}

// Run is a span of type run with what its spans add up to.
type Run struct {
	Span
	Agents int    `json:"agents"`
	Spans  uint64 `json:"spans"`
	Tools  uint64 `json:"tools"`
	Errors uint64 `json:"errors"`
	Totals Usage  `json:"usage"`
}

// Page is one page of spans; Next is "" at the end. Total counts every match.
type Page struct {
	Items []Span `json:"items"`
	Next  string `json:"next"`
	Total uint64 `json:"total"`
}

// RunPage is one page of runs.
type RunPage struct {
	Items []Run  `json:"items"`
	Next  string `json:"next"`
	Total uint64 `json:"total"`
}
