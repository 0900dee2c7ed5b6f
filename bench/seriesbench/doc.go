// Package seriesbench has what a comparison of stores of time series needs: the
// data (data.go), which every store gets as the same file, what is asked of a store
// (order.go), and three of them: eyrie's own in a process of its own (own.go, serve.go),
// VictoriaMetrics (victoria.go), and any adapter that answers orders (child.go).
//
// A store belongs to one goroutine.
package seriesbench
