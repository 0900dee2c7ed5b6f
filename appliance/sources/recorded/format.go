package recorded

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"eyrie/engine/wire"
)

// Format of a recording.
type Format string

// The formats.
const (
	WhoAndWhen Format = "who-and-when"
	SWEAgent   Format = "swe-agent"
	OpenHands  Format = "openhands"
	Langfuse   Format = "langfuse"
	Events     Format = "eyrie"
)

// Recording is one recorded run as events, in the order of their times.
type Recording struct {
	Name   string
	Format Format
	Events []wire.Event
}

// Detect recognises the format from the content.
func Detect(data []byte) (Format, bool) {
	data = bytes.TrimSpace(data)
	var list []struct {
		Agent json.RawMessage `json:"agent"`
		Usage json.RawMessage `json:"step_usage"`
	}
	if json.Unmarshal(data, &list) == nil {
		return OpenHands, len(list) > 0 && list[0].Agent != nil && list[0].Usage != nil
	}
	var o struct {
		History, Trajectory, Trace, Observations, Question, Type json.RawMessage
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	if json.Unmarshal(data, &o) != nil && json.Unmarshal(line, &o) != nil {
		return "", false
	}
	switch {
	case o.Trace != nil && o.Observations != nil:
		return Langfuse, true
	case o.Trajectory != nil:
		return SWEAgent, true
	case o.History != nil && o.Question != nil:
		return WhoAndWhen, true
	case o.Type != nil:
		return Events, true
	}
	return "", false
}

// Load converts a recording. The name becomes part of its agents' ids.
func Load(name string, data []byte) (Recording, error) {
	f, ok := Detect(data)
	if !ok {
		return Recording{}, fmt.Errorf("%s: not a recording that eyrie knows (who-and-when, SWE-agent, OpenHands, langfuse, eyrie's events as JSON lines)", name)
	}
	b := &builder{name: slug(name), format: f}
	var err error
	switch f {
	case WhoAndWhen:
		err = b.whoAndWhen(data)
	case SWEAgent:
		err = b.sweAgent(data)
	case OpenHands:
		err = b.openHands(data)
	case Langfuse:
		err = b.langfuse(data)
	case Events:
		err = b.own(data)
	}
	if err == nil && len(b.events) == 0 {
		err = fmt.Errorf("it holds no step")
	}
	if err != nil {
		return Recording{}, fmt.Errorf("%s: %s recording: %w", name, f, err)
	}
	for i := range b.events {
		if bad := b.events[i].Check(); bad != nil {
			return Recording{}, fmt.Errorf("%s: event %d: %v", name, i+1, bad)
		}
	}
	slices.SortStableFunc(b.events, func(a, c wire.Event) int { return compare(a.TS, c.TS) })
	return Recording{Name: name, Format: f, Events: b.events}, nil
}

// LoadFile converts the recording in a file.
func LoadFile(path string) (Recording, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Recording{}, err
	}
	return Load(filepath.Base(path), data)
}

func compare(a, b int64) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

// slug makes a name that reads well in an id.
func slug(name string) string {
	if i := strings.Index(name, "."); i > 0 {
		name = name[:i]
	}
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return '-'
	}, name)
	return name[:min(len(name), 48)]
}
