package claudecode

import (
	"strconv"
	"strings"

	"eyrie/engine/wire"
)

// outcome is how a tool call or a worker ended.
type outcome struct {
	status wire.Status
	code   string // "" when ok
	msg    string // our own words or the first words of the result; the result's text only in full mode
	exit   int    // with code "exit_code"
	stop   bool   // a person told the agent to stop and wait
}

// The beginnings of results that Claude Code writes itself. A result that a tool wrote never decides alone:
// they count only on a result that is flagged as an error.
const (
	refused         = "The user doesn't want to proceed with this tool use."
	refusedAction   = "The user doesn't want to take this action right now."
	refusedByRule   = "Permission "
	interruptedText = "[Request interrupted by user"
	siblingFailed   = "<tool_use_error>Sibling tool call errored</tool_use_error>"
	siblingCancel   = "<tool_use_error>Cancelled: parallel tool call"
	malformed       = "<tool_use_error>"
	exitCode        = "Exit code "
)

// toolOutcome tells how a tool call ended, from its result.
func toolOutcome(isError bool, text string) outcome {
	switch {
	case !isError:
		return outcome{status: wire.StatusOK}
	case strings.HasPrefix(text, refused), strings.HasPrefix(text, refusedAction):
		return outcome{status: wire.StatusDenied, code: "refused_by_person", msg: "a person refused the call", stop: strings.Contains(text, "STOP what you are doing")}
	case strings.HasPrefix(text, refusedByRule) && strings.Contains(firstLine(text), "denied"):
		return outcome{status: wire.StatusDenied, code: "permission_denied", msg: "permission was denied"}
	case strings.HasPrefix(text, interruptedText):
		return outcome{status: wire.StatusInterrupted, code: "interrupted", msg: "a person interrupted the call"}
	case strings.HasPrefix(text, siblingFailed), strings.HasPrefix(text, siblingCancel):
		return outcome{status: wire.StatusCancelled, code: "sibling_failed", msg: "cancelled: a call beside it failed"}
	case strings.HasPrefix(text, malformed):
		return outcome{status: wire.StatusError, code: "malformed_call", msg: strings.TrimSuffix(strings.TrimPrefix(text, malformed), "</tool_use_error>")}
	case strings.HasPrefix(text, exitCode):
		n, err := strconv.Atoi(firstLine(text)[len(exitCode):])
		if err == nil {
			return outcome{status: wire.StatusError, code: "exit_code", msg: firstLine(text), exit: n}
		}
	case strings.HasPrefix(text, "Command timed out"), strings.HasPrefix(text, "Timeout"):
		return outcome{status: wire.StatusTimeout, code: "timeout", msg: "the call took too long"}
	}
	return outcome{status: wire.StatusError, code: "tool_error", msg: text}
}

// The answers that stand where a model's answer should be. A worker that ends with one is reported as completed.
var failures = []struct{ prefix, code string }{
	{"Prompt is too long", "prompt_too_long"},
	{"API Error", "api_error"},
	{"Credit balance is too low", "no_credit"},
	{"Claude AI usage limit reached", "quota"},
	{"Claude usage limit reached", "quota"},
	{"Invalid API key", "invalid_key"},
}

// answerOutcome tells whether the text that ends a worker or a model call is an answer or a failure in its place.
func answerOutcome(text string) outcome {
	text = strings.TrimSpace(text)
	for _, f := range failures {
		if strings.HasPrefix(text, f.prefix) && len(text) < 1024 {
			return outcome{status: wire.StatusError, code: f.code, msg: firstLine(text)}
		}
	}
	return outcome{status: wire.StatusOK}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return strings.TrimSpace(line)
}
