// Package stats has the few statistics that measurements here are judged by:
// ratios of pairs with their confidence interval, geometric means, medians.
// Everything is a plain function of numbers; any goroutine may call.
package stats
