package claudecode

import (
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// record is one object of a transcript: what eyrie reads of it.
type record struct {
	Type              string          `json:"type"`
	Subtype           string          `json:"subtype"`
	UUID              string          `json:"uuid"`
	ParentUUID        string          `json:"parentUuid"`
	SessionID         string          `json:"sessionId"`
	AgentID           string          `json:"agentId"`
	Timestamp         string          `json:"timestamp"`
	CWD               string          `json:"cwd"`
	GitBranch         string          `json:"gitBranch"`
	Version           string          `json:"version"`
	IsSidechain       bool            `json:"isSidechain"`
	IsMeta            bool            `json:"isMeta"`
	IsCompactSummary  bool            `json:"isCompactSummary"`
	IsAPIErrorMessage bool            `json:"isApiErrorMessage"`
	Message           *message        `json:"message"`
	Data              *progress       `json:"data"`
	ParentToolUseID   string          `json:"parentToolUseID"`
	ToolUseResult     json.RawMessage `json:"toolUseResult"`
	Error             json.RawMessage `json:"error"`
	Content           json.RawMessage `json:"content"`
	Operation         string          `json:"operation"`
	Summary           string          `json:"summary"`
	DurationMs        float64         `json:"durationMs"`
	RetryAttempt      int             `json:"retryAttempt"`
	MaxRetries        int             `json:"maxRetries"`
	RetryInMs         float64         `json:"retryInMs"`
	Prevented         bool            `json:"preventedContinuation"`
	CompactMetadata   *compaction     `json:"compactMetadata"`
	MicroMetadata     *compaction     `json:"microcompactMetadata"`
	PRNumber          int             `json:"prNumber"`
	PRURL             string          `json:"prUrl"`
}

type message struct {
	ID         string          `json:"id"`
	Role       string          `json:"role"`
	Model      string          `json:"model"`
	Content    json.RawMessage `json:"content"`
	StopReason string          `json:"stop_reason"`
	Usage      *usage          `json:"usage"`
}

type usage struct {
	Input      int64 `json:"input_tokens"`
	Output     int64 `json:"output_tokens"`
	CacheRead  int64 `json:"cache_read_input_tokens"`
	CacheWrite int64 `json:"cache_creation_input_tokens"`
}

type block struct {
	Type      string          `json:"type"`
	Text      string          `json:"text"`
	Thinking  string          `json:"thinking"`
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Input     json.RawMessage `json:"input"`
	ToolUseID string          `json:"tool_use_id"`
	IsError   bool            `json:"is_error"`
	Content   json.RawMessage `json:"content"`
}

type progress struct {
	Type        string  `json:"type"`
	AgentID     string  `json:"agentId"`
	Message     *record `json:"message"`
	Elapsed     float64 `json:"elapsedTimeSeconds"`
	TotalLines  int64   `json:"totalLines"`
	TaskType    string  `json:"taskType"`
	Description string  `json:"taskDescription"`
}

type compaction struct {
	Trigger     string `json:"trigger"`
	PreTokens   int64  `json:"preTokens"`
	TokensSaved int64  `json:"tokensSaved"`
}

// launch is what the result of a Task call says beside its text.
type launch struct {
	Status            string  `json:"status"`
	AgentID           string  `json:"agentId"`
	TotalDurationMs   float64 `json:"totalDurationMs"`
	TotalTokens       int64   `json:"totalTokens"`
	TotalToolUseCount int64   `json:"totalToolUseCount"`
}

// delegation is the input of a Task call.
type delegation struct {
	SubagentType string `json:"subagent_type"`
	Description  string `json:"description"`
	Prompt       string `json:"prompt"`
	Model        string `json:"model"`
	Background   bool   `json:"run_in_background"`
	Resume       string `json:"resume"`
}

// parse reads an object. A field of the wrong type is a fault and left out; the rest is kept.
func parse(obj []byte) (*record, *Fault) {
	r := new(record)
	err := json.Unmarshal(obj, r)
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return r, nil
	case errors.As(err, &wrong):
		return r, &Fault{Offset: int(wrong.Offset), Code: "type", Msg: "field " + wrong.Field + ": got " + wrong.Value + ", want " + wrong.Type.String(), Kept: 1}
	}
	return nil, &Fault{Code: "syntax", Msg: err.Error()}
}

// blocks returns the content as blocks; a plain string is one text block.
func (m *message) blocks() []block { return blocksOf(m.Content) }

func blocksOf(raw json.RawMessage) []block {
	if len(raw) == 0 {
		return nil
	}
	if raw[0] == '"' {
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return nil
		}
		return []block{{Type: "text", Text: s}}
	}
	var raws []json.RawMessage
	if json.Unmarshal(raw, &raws) != nil {
		return nil
	}
	bs := make([]block, len(raws))
	for i, r := range raws {
		_ = json.Unmarshal(r, &bs[i]) // a field of the wrong type stays empty
	}
	return bs
}

// textOf joins the text of a tool result's content.
func textOf(raw json.RawMessage) string {
	var texts []string
	for _, b := range blocksOf(raw) {
		if b.Type == "text" {
			texts = append(texts, b.Text)
		} else {
			texts = append(texts, "["+b.Type+"]")
		}
	}
	return strings.Join(texts, "\n")
}

// stamp is an instant and where it comes from.
type stamp struct {
	ns        int64
	estimated bool
}

// stampOf reads the record's own timestamp; false when it has none that can be read.
func (r *record) stampOf() (int64, bool) {
	if r.Timestamp == "" {
		return 0, false
	}
	t, err := time.Parse(time.RFC3339Nano, r.Timestamp)
	if err != nil || t.Year() < 1970 || t.Year() > 2099 {
		return 0, false
	}
	return t.UnixNano(), true
}
