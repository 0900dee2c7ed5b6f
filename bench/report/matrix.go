package report

import "strings"

// Matrix shows figures named "row: column" of several rows with the same columns
// as a table.
type Matrix struct {
	Columns []Column
	Rows    []Row
}

// Column is one of a matrix: its name, unit, and what its figures say.
type Column struct{ Name, Unit, Says string }

// Row is one of a matrix; Says is that of its first figure.
type Row struct {
	Name   string
	Says   string
	Values []float64
}

// How many rows with the same columns, and how many of these, make a matrix.
const (
	matrixRows    = 3
	matrixColumns = 3
)

// Plain returns the figures that are in no matrix.
func (r *Report) Plain() []Figure {
	in := map[string]bool{}
	for _, m := range r.Matrices() {
		for _, row := range m.Rows {
			in[row.Name] = true
		}
	}
	var out []Figure
	for _, f := range r.Figures {
		if row, _, ok := strings.Cut(f.Name, ": "); !ok || !in[row] {
			out = append(out, f)
		}
	}
	return out
}

// Matrices returns the figures that make one, in their order.
func (r *Report) Matrices() []Matrix {
	rows := map[string]*Row{}
	columns := map[string][]Column{}
	var names []string
	for _, f := range r.Figures {
		row, column, ok := strings.Cut(f.Name, ": ")
		if !ok {
			continue
		}
		if rows[row] == nil {
			rows[row] = &Row{Name: row, Says: f.Says}
			names = append(names, row)
		}
		rows[row].Values = append(rows[row].Values, f.Value)
		columns[row] = append(columns[row], Column{column, f.Unit, f.Says})
	}
	shape := func(row string) string {
		var b strings.Builder
		for _, c := range columns[row] {
			b.WriteString(c.Name + "\x00" + c.Unit + "\x00")
		}
		return b.String()
	}
	at := map[string]int{}
	var out []Matrix
	for _, n := range names {
		if len(columns[n]) < matrixColumns {
			continue
		}
		s := shape(n)
		i, ok := at[s]
		if !ok {
			i = len(out)
			at[s], out = i, append(out, Matrix{Columns: columns[n]})
		}
		out[i].Rows = append(out[i].Rows, *rows[n])
	}
	whole := out[:0]
	for _, m := range out {
		if len(m.Rows) >= matrixRows {
			whole = append(whole, m)
		}
	}
	return whole
}
