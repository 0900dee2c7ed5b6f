package fleet

import "eyrie/engine/wire"

// worst first: what is added to a lower bound is one.
var qualityOf = [256]uint8{wire.QualityExact: 0, wire.QualityEstimated: 1, wire.QualityLowerBound: 2}

func readUsage(w *wire.View) (usage, bool) {
	u, ok := w.Usage()
	if !ok {
		return usage{}, false
	}
	cost := u.CostNanoUSD
	if cost == 0 {
		cost = u.CostClaimedNanoUSD
	}
	return usage{
		tok:     [5]int64{u.Input, u.Output, u.CacheRead, u.CacheWrite, u.Reasoning},
		cost:    cost,
		quality: qualityOf[u.Quality],
	}, true
}
