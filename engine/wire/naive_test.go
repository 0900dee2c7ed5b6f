package wire

import (
	"math"
	"math/big"
	"slices"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"
)

// repeats reports whether some map in b names something twice, so that Go maps do not show all of it.
func repeats(b []byte) bool {
	if _, err := msgp.Skip(b); err != nil {
		return false
	}
	v, _, err := msgp.ReadIntfBytes(b)
	if err != nil {
		return false
	}
	pairs := 0
	for i := 0; i < len(b); {
		k, n, next := token(b, i)
		switch k {
		case kStr, kBin, kExt:
			next += n
		case kMap:
			pairs += n
		case kBad:
			next = len(b)
		}
		i = next
	}
	return pairs != countPairs(v)
}

func countPairs(v any) (n int) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			n += countPairs(x)
		}
	case map[string]any:
		n = len(v)
		for _, x := range v {
			n += countPairs(x)
		}
	}
	return n
}

// naiveCheck judges an event decoded into Go values by another library, the slow and plain way.
func naiveCheck(b []byte) bool {
	if _, err := msgp.Skip(b); err != nil {
		return false // ReadIntfBytes makes room for what a header claims before it looks
	}
	v, rest, err := msgp.ReadIntfBytes(b)
	m, ok := v.(map[string]any)
	if err != nil || !ok || len(rest) > 0 || len(b) > MaxEvent || !naivePlain(v, 1) {
		return false
	}
	for k, v := range m {
		if v == nil {
			delete(m, k)
		}
	}
	numbers := 0
	for k, v := range m {
		ok := true
		switch k {
		case "type":
			ok = naiveWord(v, typeNames[1:])
		case "phase":
			ok = naiveWord(v, phaseNames[:])
		case "severity":
			ok = naiveWord(v, severityNames[1:])
		case "prio":
			ok = naiveWord(v, prioNames[1:])
		case "status":
			ok = naiveWord(v, statusNames[1:])
		case "ts_from":
			ok = naiveWord(v, tsFromNames[:])
		case "on":
			ok = naiveWord(v, onNames[:])
		case "agent", "session", "run", "task", "span", "parent", "manager":
			ok = naiveID(v)
		case "name", "msg", "kind", "by", "role", "host", "version", "model":
			_, ok = v.(string)
		case "to":
			list, isList := v.([]any)
			ok = isList && !slices.ContainsFunc(list, func(x any) bool { return !naiveID(x) }) || naiveID(v)
		case "ts", "start", "dur_ms", "heartbeat_ms":
			f, isNumber := naiveNumber(v)
			ok = isNumber && f >= 0 && f <= 4102444800000
		case "ts_ns":
			f, isNumber := naiveNumber(v)
			_, isFloat64 := v.(float64)
			_, isFloat32 := v.(float32)
			ok = isNumber && !isFloat64 && !isFloat32 && f >= 0 && f <= 4102444800e9
			if s, isText := v.(string); isText {
				n, good := new(big.Int).SetString(s, 10)
				ok = good && s[0] != '-' && s[0] != '+' && n.Cmp(big.NewInt(4102444800e9)) <= 0
			}
		case "attempt", "step":
			ok = naiveCount(v)
		case "ended":
			_, ok = v.(bool)
		case "error":
			ok = naiveFields(v, map[string]func(any) bool{"code": isText, "msg": isText, "retryable": isBool}) || isText(v)
		case "usage":
			ok = naiveFields(v, map[string]func(any) bool{"model": isText, "quality": func(v any) bool { return naiveWord(v, qualityNames[1:]) },
				"input_tokens": naiveCount, "output_tokens": naiveCount, "cache_read_tokens": naiveCount, "cache_write_tokens": naiveCount,
				"reasoning_tokens": naiveCount, "cost_nanousd": naiveCount, "cost_claimed_nanousd": naiveCount})
		case "links":
			list, isList := v.([]any)
			ok = isList && !slices.ContainsFunc(list, func(x any) bool {
				return !naiveFields(x, map[string]func(any) bool{"span": naiveID, "kind": isText})
			})
		case "state":
			ok = naiveFields(v, map[string]func(any) bool{"state": func(v any) bool { return naiveWord(v, stateNames[:]) },
				"on": func(v any) bool { return naiveWord(v, onNames[:]) }, "by": isText}) || naiveWord(v, stateNames[:])
		case "metrics", "counters", "deltas":
			inner, isMap := v.(map[string]any)
			numbers += len(inner)
			ok = isMap
			for name, x := range inner {
				_, isNumber := naiveNumber(x)
				ok = ok && isNumber && len(name) > 0 && len(name) <= MaxName
			}
		case "labels":
			inner, isMap := v.(map[string]any)
			ok = isMap && len(inner) <= MaxLabels
			for name, x := range inner {
				ok = ok && isText(x) && len(name) > 0 && len(name) <= MaxName
			}
		case "unit":
			inner, isMap := v.(map[string]any)
			ok = isMap || isText(v)
			for _, x := range inner {
				ok = ok && (x == nil || isText(x))
			}
		case "attrs":
			_, ok = v.(map[string]any)
		}
		if !ok {
			return false
		}
	}
	t, _ := m["type"].(string)
	if t == "" || numbers > MaxMetrics {
		return false
	}
	if p, ok := m["phase"].(string); ok && p != "whole" {
		if !slices.Contains([]string{"run", "task", "llm", "tool", "ask", "span"}, t) {
			return false
		}
		return m["span"] != nil || t == "run" && m["run"] != nil || t == "task" && m["task"] != nil
	}
	return true
}

// naivePlain reports whether a value has only what the protocol has, not too deep, and text that is UTF-8.
func naivePlain(v any, depth int) bool {
	switch v := v.(type) {
	case nil, bool, int64, uint64, int, uint, int8, int16, int32, uint8, uint16, uint32, float32, float64, []byte:
		return true
	case string:
		return utf8.ValidString(v)
	case []any:
		return depth <= MaxDepth && !slices.ContainsFunc(v, func(x any) bool { return !naivePlain(x, depth+1) })
	case map[string]any:
		for k, x := range v {
			if !utf8.ValidString(k) || !naivePlain(x, depth+1) {
				return false
			}
		}
		return depth <= MaxDepth
	}
	return false
}

func isText(v any) bool { _, ok := v.(string); return ok }
func isBool(v any) bool { _, ok := v.(bool); return ok }

func naiveID(v any) bool { s, ok := v.(string); return ok && len(s) <= MaxID }

func naiveWord(v any, words []string) bool {
	s, ok := v.(string)
	return ok && slices.Contains(words, s)
}

func naiveNumber(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	case float32:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

func naiveCount(v any) bool {
	switch v := v.(type) {
	case int64:
		return v >= 0
	case uint64:
		return v <= math.MaxInt64
	}
	f, ok := naiveNumber(v)
	return ok && f >= 0 && f == math.Trunc(f) && f <= 1<<53
}

func naiveFields(v any, rules map[string]func(any) bool) bool {
	m, ok := v.(map[string]any)
	for k, x := range m {
		if rule := rules[k]; rule != nil && x != nil && !rule(x) {
			return false
		}
	}
	return ok
}
