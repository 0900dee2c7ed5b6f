//go:build linux

package engine

// globMatch says whether s matches the pattern: * stands for any bytes, ? for
// one. It runs in len(pattern) × len(s) steps at most.
func globMatch(pattern string, s []byte) bool {
	p, i := 0, 0
	star, mark := -1, 0 // last * seen, and what it has swallowed up to
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// Match says whether s matches the pattern of a Grant: * stands for any bytes,
// slashes too, ? for one byte; no other byte is special.
func Match(pattern, s string) bool { return globMatch(pattern, []byte(s)) }

// allowed says whether a link with these patterns may speak for the agent.
func allowed(patterns []string, agent []byte) bool {
	if patterns == nil {
		return true
	}
	for _, p := range patterns {
		if globMatch(p, agent) {
			return true
		}
	}
	return false
}
