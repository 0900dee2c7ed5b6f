package wire

// DefaultPrio is the priority of an event that gives none. The first row that fits decides:
//
//	severity fatal                                  critical
//	phase update (the next one replaces it)         low
//	ask (someone waits for the answer)              critical
//	severity error                                  high
//	run, task, agent, state, note, board            high
//	severity debug                                  low
//	metrics                                         low
//	everything else: llm, tool, span, message, log  normal
func DefaultPrio(t Type, p Phase, s Severity) Prio {
	switch {
	case s == SeverityFatal:
		return PrioCritical
	case p == PhaseUpdate:
		return PrioLow
	case t == TypeAsk:
		return PrioCritical
	case s == SeverityError:
		return PrioHigh
	}
	switch t {
	case TypeRun, TypeTask, TypeAgent, TypeState, TypeNote, TypeBoard:
		return PrioHigh
	}
	if s == SeverityDebug || t == TypeMetrics {
		return PrioLow
	}
	return PrioNormal
}
