package report

import (
	_ "embed"
	"html/template"
	"io"
	"strings"
	"time"
)

//go:embed report.html
var page string

var pageTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"number": Number,
	"spread": func(f Figure) string { return f.spread() },
	"short":  short,
	"when":   func(t time.Time) string { return t.Format("2 January 2006, 15:04 MST") },
	"anchor": func(s string) string { return strings.ReplaceAll(s, " ", "-") },
	"share":  func(v float64) string { return Number(100*v) + " %" },
	"colour": func(i int) int { return i % lineColours },
}).Parse(page))

// WriteHTML writes the report as one page that needs nothing else: no script, no
// style sheet, no font and no network.
func (r *Report) WriteHTML(w io.Writer) error { return pageTemplate.Execute(w, r) }
