// Package report is the shape that every measurement answers in: figures with
// their units and what they say, curves, the machine, the noise; written as
// text, JSON and one self-contained HTML page, read back and compared.
//
// report.go is the report, text.go, html.go, matrix.go and plot.go write it, compare.go
// sets one beside another. A Report belongs to one goroutine while it grows.
package report
